//! Devices of the node that lead to no other node, which carry programs all the same: what a pod reaches by the host's NAT leaves by
//! any of them, and anybody's address may come by one.

use ferrule_common::Program;
use ferrule_kernel::net::{link::Device, own};
use netlink_packet_route::link::InfoKind;

/// Which of all devices but pods' links these are: not the node's own, nor what is ours, nor a part of another device.
pub(super) fn others(all: &[Device], own: &[Device]) -> Vec<Device> {
    let is_other = |device: &&Device| {
        let name = device.name.as_str();
        let ours = own::is_ours(name) || name == LOOPBACK;
        let part = device.master != 0 && !is_vrf(all, device.master);
        let silent = matches!(device.kind, Some(InfoKind::Dummy | InfoKind::Ifb));
        // What an own device lies upon sees that one's packets as its own.
        let known = own.iter().any(|own| own.ifindex == device.ifindex || own.lower == device.ifindex);
        device.up && !ours && !part && !silent && !known
    };
    all.iter().filter(is_other).cloned().collect()
}

/// The programs for such a device: of what comes, and of what leaves.
pub(crate) const fn programs(device: &Device) -> (Option<Program>, Program) {
    if device.ethernet { (Some(Program::FromOther), Program::ToOther) } else { (None, Program::ToBare) }
}

const LOOPBACK: &str = "lo";

/// A VRF's parts send and receive themselves.
fn is_vrf(all: &[Device], ifindex: u32) -> bool {
    all.iter().any(|device| device.ifindex == ifindex && device.kind == Some(InfoKind::Vrf))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, ifindex: u32, master: u32, kind: Option<InfoKind>) -> Device {
        Device { ifindex, name: name.into(), mtu: 1500, mac: vec![], kind, up: true, ethernet: true, master, lower: 0 }
    }

    #[test]
    fn every_way_out_is_one_but_the_nodes_own_and_ours() {
        let own = [device("eth0", 2, 0, None)];
        let mut all = own.to_vec();
        all.extend([
            device("lo", 1, 0, None),
            device("eth1", 3, 0, None),
            device("docker0", 4, 0, Some(InfoKind::Bridge)),
            device("veth12", 5, 4, Some(InfoKind::Veth)),
            device("fr0123456789a", 6, 0, Some(InfoKind::Veth)),
            device(own::OVERLAY, 7, 0, Some(InfoKind::Vxlan)),
            device("kube-ipvs0", 8, 0, Some(InfoKind::Dummy)),
            device("blue", 10, 0, Some(InfoKind::Vrf)),
            device("eth2", 11, 10, None),
        ]);
        all.push(Device { up: false, ..device("eth9", 12, 0, None) });
        // Its VLAN is the node's own.
        all.push(device("eth3", 13, 0, None));
        let own = [own[0].clone(), Device { lower: 13, ..device("eth3.100", 14, 0, Some(InfoKind::Vlan)) }];
        all.push(own[1].clone());
        let found = others(&all, &own);
        let names: Vec<&str> = found.iter().map(|device| device.name.as_str()).collect();
        assert_eq!(names, ["eth1", "docker0", "blue", "eth2"]);
    }

    #[test]
    fn a_device_without_ethernet_headers_is_not_parsed() {
        let wireguard = Device { ethernet: false, ..device("wg0", 3, 0, None) };
        assert_eq!(programs(&wireguard), (None, Program::ToBare));
        assert_eq!(programs(&device("eth1", 3, 0, None)), (Some(Program::FromOther), Program::ToOther));
    }
}
