//! By which devices programs put pods' packets into the tunnel and take them out, past the overlay device; and why not.

use std::{collections::BTreeSet, io};

use ferrule_kernel::net::{link::Device, xfrm};

use crate::config::{Config, Encapsulation, Routing};

/// What was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Uplinks {
    /// Interface indices.
    pub devices: BTreeSet<u32>,
    /// For the operator.
    pub words: String,
}

impl Uplinks {
    /// Of the node's own devices.
    pub fn of(config: &Config, devices: &[Device]) -> Self {
        if config.routing == Routing::Native {
            return Self { devices: BTreeSet::new(), words: "none: pods' packets travel as they are".into() };
        }
        let can = crate::encapsulation::is_by_programs(config.encapsulation).unwrap_or_default();
        decide(config.encapsulation, can, xfrm::has_policies(), devices)
    }
}

fn decide(wanted: Encapsulation, can: bool, policies: io::Result<bool>, devices: &[Device]) -> Uplinks {
    let by_device = |why: &str| Uplinks { devices: BTreeSet::new(), words: format!("by the overlay device: {why}") };
    if wanted == Encapsulation::Device {
        return by_device("as --encapsulation says");
    }
    if !can {
        return by_device("the kernel's programs cannot (Linux 5.12 can)");
    }
    match policies {
        Ok(false) => {}
        Ok(true) => return by_device("the node has IPsec policies, which programs do not heed"),
        Err(error) => return by_device(&format!("whether the node has IPsec policies is not told: {error}")),
    }
    let usable: Vec<&Device> = devices.iter().filter(|device| device.ethernet).collect();
    if usable.is_empty() {
        return by_device("no device to other nodes has Ethernet headers");
    }
    let names: Vec<&str> = usable.iter().map(|device| device.name.as_str()).collect();
    Uplinks {
        devices: usable.iter().map(|device| device.ifindex).collect(),
        words: format!("by programs on {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(ifindex: u32, ethernet: bool) -> Device {
        Device {
            ifindex,
            name: format!("eth{ifindex}"),
            mtu: 1500,
            mac: vec![],
            kind: None,
            up: true,
            ethernet,
            master: 0,
            lower: 0,
        }
    }

    #[track_caller]
    fn check(wanted: Encapsulation, can: bool, policies: io::Result<bool>, devices: &[Device], expected: &str) {
        let found = decide(wanted, can, policies, devices);
        assert_eq!(found.words, expected);
        assert_eq!(found.devices.is_empty(), !expected.starts_with("by programs"), "{expected}");
    }

    #[test]
    fn programs_do_it_where_nothing_is_in_the_way() {
        let devices = [device(2, true), device(3, false), device(4, true)];
        for wanted in [Encapsulation::Auto, Encapsulation::Program] {
            check(wanted, true, Ok(false), &devices, "by programs on eth2, eth4");
        }
        assert_eq!(decide(Encapsulation::Auto, true, Ok(false), &devices).devices, BTreeSet::from([2, 4]));
    }

    #[test]
    fn whatever_is_in_the_way_is_named() {
        let devices = [device(2, true)];
        let by_device = |why: &str| format!("by the overlay device: {why}");
        check(Encapsulation::Device, true, Ok(false), &devices, &by_device("as --encapsulation says"));
        let old = by_device("the kernel's programs cannot (Linux 5.12 can)");
        check(Encapsulation::Auto, false, Ok(false), &devices, &old);
        let ipsec = by_device("the node has IPsec policies, which programs do not heed");
        check(Encapsulation::Program, true, Ok(true), &devices, &ipsec);
        let unknown = by_device("whether the node has IPsec policies is not told: permission denied");
        check(Encapsulation::Auto, true, Err(io::ErrorKind::PermissionDenied.into()), &devices, &unknown);
        let bare = by_device("no device to other nodes has Ethernet headers");
        check(Encapsulation::Auto, true, Ok(false), &[device(2, false)], &bare);
        check(Encapsulation::Auto, true, Ok(false), &[], &bare);
    }
}
