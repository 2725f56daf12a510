//! The names of devices that Ferrule makes.

use super::limits;

/// The overlay device.
pub const OVERLAY: &str = "ferrule-vxlan";

/// Whether a device's name is that of one that the agent or the plugin makes: the overlay's, a pod's link's, that of its ifb.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    name == OVERLAY || crate::attachment::is_ours(name) || limits::host_ifname(name).is_some()
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
