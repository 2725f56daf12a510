//! What holds for every packet in the small cluster of the packet tests, with this test's policies.

use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use ferrule_common::{
    Address, Outcome, Program,
    flow::{Flow, FlowKey},
};

use crate::{
    reading::Reading,
    run::Seen,
    world::{
        A4, A6, B4, B6, GATEWAY6, LIMITED4, MAC_A, NODE1, NODE1_6, NODE2, NODE2_6, POD1, SECOND_A4, SELF4, SELF6,
        STRAY1, v6,
    },
};

/// The port that is allowed.
pub const PORT: u16 = 53;
const VXLAN: u16 = 8472;

const SHOT: i32 = 2;
const UNSPEC: i32 = -1;
const REDIRECT: i32 = 7;
/// Numbers of drops begin here.
const DROPS: u32 = 16;

/// One packet's way.
pub struct Case<'a> {
    /// Through which program.
    pub program: Program,
    /// The node itself made it.
    pub own: bool,
    /// Its bytes.
    pub frame: &'a [u8],
    /// What it is, where it is an IP packet.
    pub reading: Option<&'a Reading>,
    /// What became of it.
    pub seen: &'a Seen,
    /// Every flow there is now.
    pub flows: &'a [(FlowKey, Flow)],
}

/// Panics where a rule is broken.
pub fn keeps_the_rules(case: &Case<'_>) {
    agrees(case);
    adds_up(case);
    leaves_the_bytes(case);
    names_its_flow(case);
    if case.passed() {
        may_pass(case);
    } else {
        may_be_dropped(case);
    }
}

impl Case<'_> {
    fn passed(&self) -> bool {
        self.seen.returned != SHOT
    }

    #[track_caller]
    fn demand(&self, rule: bool, words: &str) {
        let Self { program, reading, seen, own, .. } = self;
        assert!(rule, "{words}: {} counted {}, own {own}: {reading:?}", program.name(), seen.counted);
    }
}

/// Both readers read the same, where both read anything. Etherparse is stricter, but takes an IPv6 packet that says to be
/// empty for one whose length the sender left to its device.
fn agrees(case: &Case<'_>) {
    let (Ok(sliced), Some(reading)) = (SlicedPacket::from_ethernet(case.frame), case.reading) else { return };
    if !reading.v4 && case.frame[18..20] == [0, 0] {
        return;
    }
    let (source, destination) = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => {
            (IpAddr::from(ip.header().source_addr()), IpAddr::from(ip.header().destination_addr()))
        }
        Some(NetSlice::Ipv6(ip)) => {
            (IpAddr::from(ip.header().source_addr()), IpAddr::from(ip.header().destination_addr()))
        }
        _ => return,
    };
    assert_eq!((source, destination), (reading.source, reading.destination), "etherparse reads other addresses");
    let ports = match &sliced.transport {
        Some(TransportSlice::Udp(udp)) => Some((udp.source_port(), udp.destination_port())),
        Some(TransportSlice::Tcp(tcp)) => Some((tcp.source_port(), tcp.destination_port())),
        _ => return,
    };
    assert_eq!(ports, reading.ports, "etherparse reads other ports: {reading:?}");
}

/// What is counted is what is done.
fn adds_up(case: &Case<'_>) {
    let Seen { returned, counted, .. } = case.seen;
    let dropped = *counted >= DROPS;
    case.demand(dropped == (*returned == SHOT), "what is counted as dropped is dropped, and nothing else");
    case.demand([UNSPEC, SHOT, REDIRECT].contains(returned), "an action that no program should give");
    let redirected = [Outcome::Pod, Outcome::Overlay, Outcome::Native, Outcome::Answered].map(|one| one as u32);
    case.demand(*returned != REDIRECT || redirected.contains(counted), "a redirect is counted as what it is");
}

/// A hop is all that a packet loses, between nodes; answers are others' packets.
fn leaves_the_bytes(case: &Case<'_>) {
    let Seen { returned, counted, bytes, .. } = case.seen;
    if *returned == SHOT || *counted == Outcome::Answered as u32 {
        return;
    }
    let mut expected = case.frame.to_vec();
    if [Outcome::Overlay as u32, Outcome::Native as u32].contains(counted) && *returned == REDIRECT {
        let v4 = case.reading.is_none_or(|reading| reading.v4);
        let hops = if v4 { 22 } else { 21 };
        expected[hops] = expected[hops].wrapping_sub(1);
        if v4 {
            case.demand(
                sum(&bytes[14..]) == sum(&case.frame[14..]),
                "an IPv4 header is as right or as wrong as it was",
            );
            expected[24..26].copy_from_slice(&bytes[24..26]);
        }
    }
    case.demand(*bytes == expected, "the bytes of a packet that passes are its own");
}

/// The ones' complement sum of an IPv4 header, in which 0 and 0xffff are one.
fn sum(packet: &[u8]) -> u32 {
    let header = &packet[..packet.len().min(usize::from(packet[0] & 15) * 4)];
    let halves = header.chunks(2).map(|half| u32::from(half[0]) << 8 | half.get(1).map_or(0, |low| u32::from(*low)));
    let sum: u32 = halves.sum();
    ((sum & 0xffff) + (sum >> 16)) % 0xffff
}

/// One packet opens one flow at most, between its own ends.
fn names_its_flow(case: &Case<'_>) {
    case.demand(case.flows.len() <= 1, "one packet, one flow");
    let Some((key, flow)) = case.flows.first() else { return };
    case.demand(case.passed(), "what is dropped opens no flow");
    let Some(reading) = case.reading else { return case.demand(false, "no packet, no flow") };
    let (from, to) = (Address::from(reading.source), Address::from(reading.destination));
    let (opener, target) = if flow.opened_by_higher == 0 { (key.lower, key.higher) } else { (key.higher, key.lower) };
    case.demand(opener == from && target == to, "a flow is between the packet's ends");
    case.demand(key.protocol == reading.protocol, "a flow is of the packet's protocol");
    if let Some((source, destination)) = reading.ports {
        let (lower, higher) = (u16::from_be(key.lower_port_be), u16::from_be(key.higher_port_be));
        let ports = if flow.opened_by_higher == 0 { (lower, higher) } else { (higher, lower) };
        case.demand(ports == (source, destination), "a flow is between the packet's ports");
    }
}

/// What passes may pass.
fn may_pass(case: &Case<'_>) {
    let Some(packet) = case.reading else { return no_packet_may_pass(case) };
    match case.program {
        Program::FromPod => leaves_a(case, packet),
        Program::ToPod => reaches(case, packet),
        Program::FromOverlay => {
            case.demand(is_of_node(packet.source, 1), "an overlay packet is of the node that sent it");
            enters(case, packet);
        }
        Program::FromNetdev => {
            case.demand(pod(packet.source).is_none(), "no local pod's address comes from outside");
            if case.seen.returned == REDIRECT {
                case.demand(is_of_node(packet.source, 2), "a native packet is of the node that sent it");
                enters(case, packet);
            }
        }
        // Packets come by a device that leads to nobody: of this node's addresses they may have what masquerading gives.
        Program::ToOverlay => {
            let own = is_self(packet.source) && pod(packet.source).is_none();
            case.demand(own, "a packet into the tunnel is this node's");
        }
        Program::FromOther | Program::ToOther => belongs_to_nobody(case, packet),
        // It looks at marks alone.
        Program::ToBare => {}
        Program::ToNetdev => {
            belongs_to_nobody(case, packet);
            let held = is_of_node(packet.destination, 1) && !is_address_of_node(packet.destination);
            case.demand(!held || packet.is_udp_to(VXLAN), "what is reached through the tunnel leaves by no other way");
        }
    }
}

/// What is no packet is no pod's concern.
fn no_packet_may_pass(case: &Case<'_>) {
    let arp = case.frame[12..14] == [0x08, 0x06];
    match case.program {
        Program::FromPod | Program::ToPod => case.demand(arp, "what is no packet passes no pod"),
        Program::FromOverlay | Program::ToOverlay => case.demand(false, "what is no packet passes no tunnel"),
        Program::FromNetdev | Program::ToNetdev | Program::FromOther | Program::ToOther | Program::ToBare => {
            case.demand(case.seen.returned == UNSPEC, "what is no packet is left alone");
        }
    }
}

/// A may send to port 53, to itself, to its own node, and to its gateway's neighbour discovery.
fn leaves_a(case: &Case<'_>, packet: &Packet) {
    case.demand(case.frame[6..12] == MAC_A, "A sends from its own MAC");
    let unroutable = packet.destination.is_loopback() || packet.destination.is_unspecified();
    case.demand(!unroutable, "what is for a loopback address leaves no pod");
    if is_of_link(packet) {
        return is_discovery(case, packet);
    }
    case.demand(pod(packet.source) == Some(Pod::A), "A sends from its own addresses");
    match pod(packet.destination) {
        Some(Pod::A) => {}
        Some(Pod::Limited) => case.demand(false, "nothing is allowed into the third pod"),
        _ if is_self(packet.destination) && is_address_of_node(packet.destination) => {}
        _ => case.demand(packet.is_udp_to(PORT), "A may send to port 53 alone"),
    }
}

/// What the stack delivers. What the node itself makes reaches its pods, and so does neighbour discovery.
fn reaches(case: &Case<'_>, packet: &Packet) {
    let Some(target) = pod(packet.destination) else {
        return case.demand(is_of_link(packet) && packet.protocol == 58, "a pod's device takes its own packets alone");
    };
    let discovery = packet.icmp6().is_some_and(|kind| (133..=137).contains(&kind));
    let source = pod(packet.source);
    if !case.own && !discovery {
        allows(case, packet, target);
        case.demand(source.is_none(), "a local pod's address comes by its link");
    }
}

/// A device that leads to no pod and no node carries none of their addresses, and no tunnel of this node's.
fn belongs_to_nobody(case: &Case<'_>, packet: &Packet) {
    // An unused address of this node's pods may be of a pod that a former plugin connected.
    let pods = pod(packet.source).is_some() || (1..=2).any(|node| is_of_node(packet.source, node));
    case.demand(!pods || is_address_of_node(packet.source), "pods' addresses come by the ways to them");
    let own = [SELF4.into(), SELF6.into()].contains(&packet.source);
    match case.program {
        Program::FromOther => case.demand(!own, "nobody else sends as this node"),
        _ => case.demand(!own || !packet.is_udp_to(VXLAN), "what NAT made speaks no VXLAN"),
    }
}

/// What other nodes send.
fn enters(case: &Case<'_>, packet: &Packet) {
    match pod(packet.destination) {
        Some(target) => allows(case, packet, target),
        None => case.demand(is_self(packet.destination), "what comes to this node is for this node"),
    }
}

fn allows(case: &Case<'_>, packet: &Packet, target: Pod) {
    case.demand(target == Pod::B, "nothing is allowed into any pod but B");
    case.demand(packet.is_udp_to(PORT), "port 53 alone is allowed into B");
}

fn is_discovery(case: &Case<'_>, packet: &Packet) {
    let kind = packet.icmp6();
    let echo = kind.is_some_and(|kind| matches!(kind, 128 | 129)) && packet.destination == IpAddr::from(GATEWAY6);
    let discovery = kind.is_some_and(|kind| matches!(kind, 135 | 136)) && packet.hops == 255;
    case.demand(packet.extensions == 0 && (echo || discovery), "on its link A asks for its gateway, and no more");
}

/// What is allowed and sound is not dropped.
fn may_be_dropped(case: &Case<'_>) {
    let Some(packet) = case.reading else { return };
    let sound = SlicedPacket::from_ethernet(case.frame)
        .is_ok_and(|sliced| matches!(sliced.transport, Some(TransportSlice::Udp(_))));
    let plain = sound && packet.is_udp_to(PORT) && packet.extensions <= 6 && !packet.first_fragment;
    if !plain || pod(packet.destination) != Some(Pod::B) {
        return;
    }
    let sent = match case.program {
        Program::FromPod => pod(packet.source) == Some(Pod::A) && case.frame[6..12] == MAC_A,
        Program::FromOverlay => is_of_node(packet.source, 1),
        Program::FromNetdev => is_of_node(packet.source, 2),
        Program::ToPod => pod(packet.source).is_none() && !is_of_link(packet),
        _ => false,
    };
    case.demand(!sent || is_mapped(packet.source), "what is allowed arrives");
}

use Reading as Packet;

/// The pods of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pod {
    A,
    B,
    Limited,
}

fn pod(address: IpAddr) -> Option<Pod> {
    let of = |own: &[IpAddr]| own.contains(&address);
    if of(&[A4.into(), SECOND_A4.into(), A6.into()]) {
        Some(Pod::A)
    } else if of(&[B4.into(), B6.into()]) {
        Some(Pod::B)
    } else {
        of(&[LIMITED4.into()]).then_some(Pod::Limited)
    }
}

/// Whether an address is one of a node's InternalIPs.
fn is_address_of_node(address: IpAddr) -> bool {
    let all: [IpAddr; 6] = [SELF4.into(), SELF6.into(), NODE1.into(), NODE1_6.into(), NODE2.into(), NODE2_6.into()];
    all.contains(&address)
}

/// This node's addresses and its pod CIDRs.
fn is_self(address: IpAddr) -> bool {
    address == IpAddr::from(SELF4) || address == IpAddr::from(SELF6) || is_in_group(address, 1)
}

/// Addresses and pod CIDRs of nodes 1 and 2, which nodes 3 and 4 share their addresses with.
fn is_of_node(address: IpAddr, node: u8) -> bool {
    let (own, groups): (&[IpAddr], _) = match node {
        1 => (&[NODE1.into(), NODE1_6.into(), STRAY1.into(), POD1.into()], [2, 5]),
        _ => (&[NODE2.into(), NODE2_6.into()], [3, 6]),
    };
    own.contains(&address) || groups.iter().any(|group| is_in_group(address, *group))
}

fn is_in_group(address: IpAddr, group: u8) -> bool {
    match address {
        IpAddr::V4(ip) => ip.octets()[..3] == [10, 244, group],
        IpAddr::V6(ip) => ip.octets()[..8] == v6(group.into(), 0)[..8],
    }
}

fn is_of_link(packet: &Packet) -> bool {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else { return false };
    source.is_unicast_link_local()
        || source.is_unspecified()
        || destination.is_unicast_link_local()
        || destination.is_multicast()
        || packet.icmp6().is_some_and(|kind| (133..=137).contains(&kind))
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
}
