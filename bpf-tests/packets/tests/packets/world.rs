//! The small cluster that packet tests take place in.
//!
//! This node has the pods A and B; node 1 is reached through the tunnel, node 2 natively, node 6 through the tunnel by programs.

use std::net::IpAddr;

use aya::{
    Ebpf,
    maps::{Array, HashMap, LpmTrie, lpm_trie::Key},
};
use ferrule_common::{
    Address, Mac,
    endpoint::{CHAINED, Endpoint, VIA_STACK},
    link::Link,
    peer::{self, Node, Peer},
    policy::Word,
    prefix::{CLUSTER, Cidr, PrefixKey, Route},
    source::Source,
};

/// The device that programs run on: A's host side (the loopback device, which every namespace has).
pub const HERE: u32 = 1;
/// B's host side.
pub const THERE: u32 = 77;
/// A's endpoint index, the class of its filters.
pub const CLASS_A: u32 = 1;
/// B's.
pub const CLASS_B: u32 = 2;
/// The tenant of both.
pub const TENANT: u32 = 4;
/// A pod whose bandwidth is limited, on the same device as A in these tests.
pub const LIMITED4: [u8; 4] = [10, 244, 1, 33];
/// A second address of A's, which `fr_sources` does not hold.
pub const SECOND_A4: [u8; 4] = [10, 244, 1, 22];
/// The overlay device.
pub const OVERLAY: u32 = 88;
/// Node 2 is behind this device: the loopback device again, on which `from_netdev` runs.
pub const NETDEV: u32 = HERE;
/// Node 5 is behind this one.
pub const OTHER_NETDEV: u32 = 99;

pub const MAC_A: [u8; 6] = [0x0a, 0, 0, 0, 0, 0xaa];
pub const HOST_A: [u8; 6] = [0x0a, 0, 0, 0, 1, 0xaa];
pub const MAC_B: [u8; 6] = [0x0a, 0, 0, 0, 0, 0xbb];
pub const OTHER_MAC: [u8; 6] = [0x0a, 0, 0, 0, 0, 0xcc];

pub const A4: [u8; 4] = [10, 244, 1, 2];
pub const B4: [u8; 4] = [10, 244, 1, 3];
pub const UNUSED4: [u8; 4] = [10, 244, 1, 77];
pub const POD1: [u8; 4] = [10, 244, 2, 2];
pub const STRAY1: [u8; 4] = [10, 250, 0, 9];
pub const POD2: [u8; 4] = [10, 244, 3, 2];
pub const UNOWNED4: [u8; 4] = [10, 244, 9, 9];
pub const OUTSIDE4: [u8; 4] = [192, 0, 2, 1];
pub const SELF4: [u8; 4] = [172, 30, 0, 11];
pub const NODE1: [u8; 4] = [172, 30, 0, 12];
/// Another InternalIP of node 1's.
pub const NODE1_SECOND: [u8; 4] = [172, 30, 0, 22];
/// One that names node 1's next entry already, as while an entry gives way to its successor.
pub const NODE1_NEXT: [u8; 4] = [172, 30, 0, 32];
pub const NODE2: [u8; 4] = [172, 30, 0, 13];
pub const NODE6: [u8; 4] = [172, 30, 0, 16];
/// Another InternalIP of node 6's.
pub const NODE6_SECOND: [u8; 4] = [172, 30, 0, 26];
pub const POD6: [u8; 4] = [10, 244, 8, 2];
/// Another InternalIP of this node's.
pub const SELF4_SECOND: [u8; 4] = [172, 30, 0, 21];
pub const GATEWAY4: [u8; 4] = [169, 254, 1, 1];

/// `fd00:<group>::<last>`.
pub const fn v6(group: u16, last: u8) -> [u8; 16] {
    let [high, low] = group.to_be_bytes();
    [0xfd, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

pub const A6: [u8; 16] = v6(1, 2);
pub const B6: [u8; 16] = v6(1, 3);
pub const POD1_6: [u8; 16] = v6(2, 2);
pub const POD2_6: [u8; 16] = v6(3, 2);
pub const POD6_6: [u8; 16] = v6(8, 2);
pub const UNOWNED6: [u8; 16] = v6(9, 9);
pub const OUTSIDE6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// What the test wrapper makes of the last four octets 0.0.1.11, .12 and .13.
pub const SELF6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 11];
pub const NODE1_6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 12];
pub const NODE2_6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 13];
pub const GATEWAY6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// Made of `MAC_A` (RFC 4291 appendix A).
pub const LINK_LOCAL_A: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x08, 0, 0, 0xff, 0xfe, 0, 0, 0xaa];
/// Another that A might take.
pub const OTHER_LINK_LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa];

/// Pods' MTU.
pub const POD_MTU: u32 = 1450;

fn address(ip: impl Into<IpAddr>) -> Address {
    Address::from(ip.into())
}

/// Fills an object's maps.
pub fn fill(ebpf: &mut Ebpf) {
    endpoints(ebpf);
    words(ebpf);
    nodes(ebpf);
    peers(ebpf);
    prefixes(ebpf);
}

/// Puts B behind the device that programs run on, too, so that a test may send from both.
pub fn put_together(ebpf: &mut Ebpf) {
    let mut map: HashMap<_, Address, Endpoint> =
        ebpf.map_mut("fr_endpoints").expect("the map is there").try_into().expect("a hash");
    for key in [address(B4), address(B6)] {
        let b = map.get(&key, 0).expect("B is there");
        map.insert(key, Endpoint { ifindex: HERE, ..b }, 0).expect("the map has room");
    }
    let mut map: Array<_, Source> = ebpf.map_mut("fr_sources").expect("the map is there").try_into().expect("an array");
    let b = map.get(&CLASS_B, 0).expect("B is there");
    map.set(CLASS_B, Source { ifindex: HERE, ..b }, 0).expect("the map has room");
}

/// Puts a pod's address behind another link.
pub fn put_behind(ebpf: &mut Ebpf, pod: [u8; 4], ifindex: u32) {
    let mut map: HashMap<_, Address, Endpoint> =
        ebpf.map_mut("fr_endpoints").expect("the map is there").try_into().expect("a hash");
    let key = address(pod);
    let endpoint = map.get(&key, 0).expect("it is there");
    map.insert(key, Endpoint { ifindex, ..endpoint }, 0).expect("the map has room");
}

/// Makes A a pod whose link another plugin made.
pub fn make_foreign(ebpf: &mut Ebpf) {
    let flags = VIA_STACK | CHAINED;
    let mut map: HashMap<_, Address, Endpoint> =
        ebpf.map_mut("fr_endpoints").expect("the map is there").try_into().expect("a hash");
    for key in [address(A4), address(A6), address(SECOND_A4)] {
        let a = map.get(&key, 0).expect("A is there");
        map.insert(key, Endpoint { flags, ..a }, 0).expect("the map has room");
    }
    let mut map: Array<_, Source> = ebpf.map_mut("fr_sources").expect("the map is there").try_into().expect("an array");
    let a = map.get(&CLASS_A, 0).expect("A is there");
    map.set(CLASS_A, Source { flags, ..a }, 0).expect("the map has room");
}

fn endpoints(ebpf: &mut Ebpf) {
    let mut map: HashMap<_, Address, Endpoint> =
        ebpf.map_mut("fr_endpoints").expect("the map is there").try_into().expect("a hash");
    let a = Endpoint { ifindex: HERE, index: CLASS_A, mtu: POD_MTU, mac: Mac::new(MAC_A), flags: 0 };
    let b = Endpoint { ifindex: THERE, index: CLASS_B, mtu: POD_MTU, mac: Mac::new(MAC_B), flags: 0 };
    for (key, value) in
        [(address(A4), a), (address(A6), a), (address(SECOND_A4), a), (address(B4), b), (address(B6), b)]
    {
        map.insert(key, value, 0).expect("the map has room");
    }
    let limited = Endpoint { index: 3, flags: VIA_STACK, ..a };
    map.insert(address(LIMITED4), limited, 0).expect("the map has room");
    let mut map: Array<_, Source> = ebpf.map_mut("fr_sources").expect("the map is there").try_into().expect("an array");
    let a = Source { ifindex: HERE, mac: Mac::new(MAC_A), flags: 0, v4: address(A4), v6: address(A6), tenant: TENANT };
    map.set(CLASS_A, a, 0).expect("the map has room");
    let b = Source { ifindex: THERE, mac: Mac::new(MAC_B), flags: 0, v4: address(B4), v6: address(B6), tenant: TENANT };
    map.set(CLASS_B, b, 0).expect("the map has room");
    let mut map: HashMap<_, u32, Link> =
        ebpf.map_mut("fr_links").expect("the map is there").try_into().expect("a hash");
    let link = Link { index: CLASS_A, mac: Mac::new(MAC_A), host_mac: Mac::new(HOST_A) };
    map.insert(HERE, link, 0).expect("the map has room");
    let link = Link { index: CLASS_B, mac: Mac::new(MAC_B), host_mac: Mac::new(HOST_A) };
    map.insert(THERE, link, 0).expect("the map has room");
}

/// Nothing isolates any of them.
fn words(ebpf: &mut Ebpf) {
    let mut map: Array<_, Word> = ebpf.map_mut("fr_ep_state").expect("the map is there").try_into().expect("an array");
    for index in 1..=3 {
        map.set(index, Word::new(0, 0, 1), 0).expect("the map has room");
    }
}

fn nodes(ebpf: &mut Ebpf) {
    let Some(map) = ebpf.map_mut("fr_nodes") else { return };
    let mut map: Array<_, Node> = map.try_into().expect("an array");
    let none = Address::UNSPECIFIED;
    let through_tunnel = Node {
        forwarding: peer::VXLAN,
        ifindex: OVERLAY,
        mtu: POD_MTU,
        uplink: 0,
        tunnel: address(NODE1),
        next_hop_v4: none,
        next_hop_v6: none,
        internal_v4: address(NODE1),
        internal_v6: address(NODE1_6),
    };
    let native = Node {
        forwarding: peer::NATIVE,
        ifindex: NETDEV,
        mtu: 1500,
        tunnel: none,
        next_hop_v4: address(NODE2),
        next_hop_v6: address(NODE2_6),
        internal_v4: address(NODE2),
        internal_v6: address(NODE2_6),
        ..through_tunnel
    };
    // Node 3 is through a tunnel over IPv6; node 4 is native and has no IPv6 next hop.
    let over_v6 = Node { tunnel: address(NODE1_6), ..through_tunnel };
    let v4_only = Node { next_hop_v6: none, ..native };
    let elsewhere = Node { ifindex: OTHER_NETDEV, ..native };
    // Node 6 is behind a gateway, by this device; node 7 by another.
    let by_programs = Node {
        uplink: NETDEV,
        tunnel: address(NODE6),
        next_hop_v4: address(SELF4),
        next_hop_v6: address([172, 30, 0, 1]),
        internal_v4: address(NODE6),
        internal_v6: none,
        ..through_tunnel
    };
    let by_others = Node { uplink: OTHER_NETDEV, ..by_programs };
    let all = [through_tunnel, native, over_v6, v4_only, elsewhere, by_programs, by_others];
    for (index, node) in (1..).zip(all) {
        map.set(index, node, 0).expect("the map has room");
    }
}

fn peers(ebpf: &mut Ebpf) {
    let mut map: HashMap<_, Address, Peer> =
        ebpf.map_mut("fr_peers").expect("the map is there").try_into().expect("a hash");
    let node = |index| Peer { node: index, kind: peer::NODE };
    let pod = |index| Peer { node: index, kind: peer::POD };
    for (key, value) in [
        (address(SELF4), node(peer::SELF)),
        (address(SELF6), node(peer::SELF)),
        (address(NODE1), node(1)),
        (address(NODE1_6), node(1)),
        (address(NODE1_SECOND), node(1)),
        // Entry 3 has node 1's InternalIPs.
        (address(NODE1_NEXT), node(3)),
        (address(NODE2), node(2)),
        (address(NODE2_6), node(2)),
        (address(SELF4_SECOND), node(peer::SELF)),
        (address(NODE6), node(6)),
        (address(NODE6_SECOND), node(6)),
        (address(STRAY1), pod(1)),
        (address(POD1), pod(1)),
    ] {
        map.insert(key, value, 0).expect("the map has room");
    }
}

fn prefixes(ebpf: &mut Ebpf) {
    let key = |ip: IpAddr, bits: u8| {
        Key::new(PrefixKey::bits(bits, ip.is_ipv4()), PrefixKey::of(Address::from(ip), ip.is_ipv4()))
    };
    let mut map: LpmTrie<_, PrefixKey, Route> =
        ebpf.map_mut("fr_routes").expect("the map is there").try_into().expect("a trie");
    for (group, node) in [(1, peer::SELF), (2, 1), (3, 2), (5, 3), (6, 4), (7, 5), (8, 6), (11, 7)] {
        let v4 = IpAddr::from([10, 244, group, 0]);
        map.insert(&key(v4, 24), Route { node }, 0).expect("the map has room");
        let v6 = IpAddr::from(v6(u16::from(group), 0));
        map.insert(&key(v6, 64), Route { node }, 0).expect("the map has room");
    }
    let Some(map) = ebpf.map_mut("fr_cidrs") else { return };
    let mut map: LpmTrie<_, PrefixKey, Cidr> = map.try_into().expect("a trie");
    for (ip, bits) in [(IpAddr::from([10, 244, 0, 0]), 16), (IpAddr::from(v6(0, 0)), 28)] {
        map.insert(&key(ip, bits), Cidr { flags: CLUSTER }, 0).expect("the map has room");
    }
}
