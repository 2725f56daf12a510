//! The names of devices that Ferrule makes.

use super::limits;

/// The overlay device.
pub const OVERLAY: &str = "ferrule-vxlan";

/// Whether a device's name is that of one that the agent or the plugin makes: the overlay's, a pod's link's, that of its ifb.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    name == OVERLAY || is_pod_link(name) || limits::host_ifname(name).is_some()
}

/// Whether a device's name is that of a pod's link: `fr` and eleven hex digits, as the plugin's API makes them
/// (`ferrule_api::plugin::host_ifname`).
#[must_use]
pub fn is_pod_link(name: &str) -> bool {
    name.strip_prefix("fr").is_some_and(|hash| {
        hash.len() == 11 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_names_are_told_from_others() {
        for (name, ours) in [
            ("ferrule-vxlan", true),
            ("fr0123456789a", true),
            ("fr0123456789a0", false),
            ("eth0", false),
            ("frt1-n1", false),
        ] {
            assert_eq!(is_ours(name), ours, "{name}");
        }
    }
}
