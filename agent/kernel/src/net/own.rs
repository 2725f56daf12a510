//! The names of devices that Ferrule makes.

/// The overlay device.
pub const OVERLAY: &str = "ferrule-vxlan";

/// Whether a device's name is that of one that the agent or the plugin makes: the overlay's, a pod's link's, that of its ifb.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    name == OVERLAY || is_pod_link(name) || ifb_owner(name).is_some()
}

/// Whether a device's name is that of a pod's link: `fr` and eleven hex digits, as the plugin's API makes them
/// (`ferrule_api::plugin::host_ifname`).
#[must_use]
pub fn is_pod_link(name: &str) -> bool {
    name.strip_prefix("fr").is_some_and(|hash| {
        hash.len() == 11 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// The ifb's name: the host side's, with another prefix.
#[must_use]
pub fn ifb_name(host_ifname: &str) -> String {
    format!("fi{}", host_ifname.strip_prefix("fr").unwrap_or(host_ifname))
}

/// The host side's name of the pod that an ifb belongs to.
#[must_use]
pub fn ifb_owner(device: &str) -> Option<String> {
    let name = format!("fr{}", device.strip_prefix("fi")?);
    is_pod_link(&name).then_some(name)
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

    #[test]
    fn an_ifb_has_its_pods_name_with_another_prefix() {
        assert_eq!(ifb_name("fr0123456789a"), "fi0123456789a");
        assert_eq!(ifb_owner("fi0123456789a").as_deref(), Some("fr0123456789a"));
        for other in ["fr0123456789a", "fi", "fi0123456789", "figure", "ifb0", "fi0123456789x"] {
            assert_eq!(ifb_owner(other), None, "{other}");
        }
    }
}
