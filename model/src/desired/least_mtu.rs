//! The smallest packets that pods of a family can live with.

use ipnetwork::IpNetwork;

/// Of IPv6, in bytes (RFC 8200 section 5): below it the kernel takes IPv6 away from a device.
pub const LEAST_V6: u32 = 1280;
/// Of IPv4, in bytes: what every host has to take (RFC 791 section 3.1).
pub const LEAST_V4: u32 = 576;

/// Pods' MTU is too small for a family that they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "pods' MTU is {mtu}, and {family} needs {least}: raise the MTU of the node's device and of the ways to other nodes by {lack} \
     at least{instead}"
)]
pub struct MtuTooSmall {
    /// Pods' MTU, in bytes.
    pub mtu: u32,
    /// What the family needs, in bytes.
    pub least: u32,
    family: &'static str,
    lack: u32,
    instead: &'static str,
}

/// Whether addresses of these prefixes can be given to pods with such an MTU, in bytes.
///
/// # Errors
/// [`MtuTooSmall`].
pub fn fits<'a>(mtu: u32, mut prefixes: impl Iterator<Item = &'a IpNetwork>) -> Result<(), MtuTooSmall> {
    let v6 = prefixes.any(IpNetwork::is_ipv6);
    let (least, family, instead) = if v6 {
        (LEAST_V6, "IPv6", " (or take `mtu` out of the configuration), or give the nodes IPv4 pod CIDRs alone")
    } else {
        (LEAST_V4, "IPv4", " (or take `mtu` out of the configuration)")
    };
    if mtu >= least { Ok(()) } else { Err(MtuTooSmall { mtu, least, family, lack: least - mtu, instead }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mtu: u32, prefixes: &[&str], expected: Option<&str>) {
        let prefixes: Vec<IpNetwork> = prefixes.iter().map(|one| one.parse().unwrap()).collect();
        let found = fits(mtu, prefixes.iter()).err().map(|error| error.to_string());
        match expected {
            None => assert_eq!(found, None, "{mtu} {prefixes:?}"),
            Some(words) => assert!(found.as_ref().is_some_and(|found| found.starts_with(words)), "{found:?}"),
        }
    }

    #[test]
    fn ipv6_needs_1280_and_ipv4_576() {
        check(1280, &["10.0.0.0/24", "fd00::/64"], None);
        check(1279, &["10.0.0.0/24", "fd00::/64"], Some("pods' MTU is 1279, and IPv6 needs 1280: raise"));
        check(1279, &["10.0.0.0/24"], None);
        check(576, &["10.0.0.0/24"], None);
        check(575, &["10.0.0.0/24"], Some("pods' MTU is 575, and IPv4 needs 576: raise"));
    }
}
