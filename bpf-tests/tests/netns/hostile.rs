//! What a hostile pod sends is dropped, and counted under its reason.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};
use etherparse::{Icmpv6Type, PacketBuilder, PacketBuilderStep, ip_number};
use test_kit::{
    topology::{Cluster, Layout, Pod},
    traffic::{receive, send},
};

use crate::support::{address, within};

/// What a test builds its frame from.
struct Scene<'a> {
    cluster: &'a Cluster,
    pod: &'a Pod,
    victim: &'a Pod,
    mac: [u8; 6],
    gateway: [u8; 6],
}

/// That a frame is counted by `from_pod` with `reason`, and reaches neither the victim nor the wire.
fn check(reason: &str, frame: impl Fn(&Scene<'_>) -> Result<Vec<u8>>) {
    within(&Layout::default(), |cluster| {
        let node = &cluster.nodes[0];
        let (pod, victim) = (node.add("hostile")?, node.add("victim")?);
        let scene = Scene {
            cluster,
            pod: &pod,
            victim: &victim,
            mac: pod.netns.mac("eth0")?,
            gateway: node.netns.mac(&pod.host_link()?)?,
        };
        let frame = frame(&scene)?;
        let before = node.count("from_pod", reason)?;
        let seen = receive(&victim.netns, "eth0", || {
            let wire = receive(&cluster.underlay.netns, "n1", || send(&pod.netns, "eth0", &frame))?;
            let payload = &frame[14..];
            ensure!(!wire.iter().any(|seen| holds(seen, payload)), "it left the node");
            Ok(())
        })?;
        ensure!(!seen.iter().any(|seen| holds(seen, &frame[14..])), "it reached the victim");
        let counted = node.count("from_pod", reason)? - before;
        ensure!(counted == 1, "{reason} was counted {counted} times for {frame:02x?}");
        Ok(())
    });
}

fn holds(frame: &[u8], payload: &[u8]) -> bool {
    frame.windows(payload.len()).any(|part| part == payload)
}

impl Scene<'_> {
    fn ethernet(&self) -> PacketBuilderStep<etherparse::Ethernet2Header> {
        PacketBuilder::ethernet2(self.mac, self.gateway)
    }

    fn v4(&self, pod: &Pod) -> Result<Ipv4Addr> {
        match address(pod, true)? {
            IpAddr::V4(address) => Ok(address),
            IpAddr::V6(_) => unreachable!("asked for the other family"),
        }
    }

    fn v6(&self, pod: &Pod) -> Result<Ipv6Addr> {
        match address(pod, false)? {
            IpAddr::V6(address) => Ok(address),
            IpAddr::V4(_) => unreachable!("asked for the other family"),
        }
    }

    /// UDP over IPv4 with this payload.
    fn udp(&self, source: Ipv4Addr, destination: Ipv4Addr, port: u16, payload: &[u8]) -> Result<Vec<u8>> {
        let builder = self.ethernet().ipv4(source.octets(), destination.octets(), 64).udp(4321, port);
        let mut frame = Vec::new();
        builder.write(&mut frame, payload)?;
        Ok(frame)
    }

    /// ICMPv6 of the link: hop limit 255.
    fn icmpv6(&self, source: Ipv6Addr, destination: Ipv6Addr, (kind, code): (u8, u8), body: &[u8]) -> Result<Vec<u8>> {
        let message = Icmpv6Type::Unknown { type_u8: kind, code_u8: code, bytes5to8: first4(body) };
        let builder = self.ethernet().ipv6(source.octets(), destination.octets(), 255).icmpv6(message);
        let mut frame = Vec::new();
        builder.write(&mut frame, body.get(4..).unwrap_or_default())?;
        Ok(frame)
    }

    /// ARP for IPv4 over Ethernet: operation 1 asks, 2 answers.
    fn arp(&self, operation: u8, mac: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
        let mut frame = [self.gateway, self.mac].concat();
        frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
        frame.extend(mac);
        frame.extend(sender.octets());
        frame.extend([0; 6]);
        frame.extend(target.octets());
        frame
    }
}

fn first4(body: &[u8]) -> [u8; 4] {
    std::array::from_fn(|at| body.get(at).copied().unwrap_or(0))
}

/// A neighbour advertisement's or solicitation's body: flags, target, and the link layer address as an option.
fn neighbour(flags: u8, target: Ipv6Addr, option: u8, mac: [u8; 6]) -> Vec<u8> {
    [vec![flags, 0, 0, 0], target.octets().to_vec(), vec![option, 1], mac.to_vec()].concat()
}

#[test]
fn another_pods_ipv4_address() {
    check("spoofed-address", |scene| {
        scene.udp(scene.v4(scene.victim)?, Ipv4Addr::new(10, 244, 2, 2), 53, b"spoofed source")
    });
}

#[test]
fn an_ipv6_address_of_nobody() {
    check("spoofed-address", |scene| {
        let mut frame = Vec::new();
        let destination = scene.v6(scene.victim)?.octets();
        let source = "fd00:244:1::99".parse::<Ipv6Addr>()?.octets();
        scene.ethernet().ipv6(source, destination, 64).udp(4321, 53).write(&mut frame, b"spoofed source")?;
        Ok(frame)
    });
}

#[test]
fn another_mac() {
    check("spoofed-mac", |scene| {
        let mut frame = scene.udp(scene.v4(scene.pod)?, scene.v4(scene.victim)?, 53, b"spoofed mac")?;
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        Ok(frame)
    });
}

/// A VXLAN frame of the overlay that pretends to come from another node's pod.
fn vxlan(scene: &Scene<'_>) -> Result<Vec<u8>> {
    let mut inner = Vec::new();
    let destination = scene.v4(scene.victim)?.octets();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([10, 244, 2, 2], destination, 64)
        .udp(1, 2)
        .write(&mut inner, b"inner")?;
    Ok([vec![8, 0, 0, 0, 0, 0, 1, 0], inner].concat())
}

#[test]
fn vxlan_to_its_own_node() {
    check("tunnel-from-pod", |scene| {
        let IpAddr::V4(node) = scene.cluster.nodes[0].addresses[0] else { unreachable!("IPv4 comes first") };
        scene.udp(scene.v4(scene.pod)?, node, 8472, &vxlan(scene)?)
    });
}

#[test]
fn vxlan_to_another_node() {
    check("tunnel-from-pod", |scene| {
        let IpAddr::V4(node) = scene.cluster.nodes[1].addresses[0] else { unreachable!("IPv4 comes first") };
        scene.udp(scene.v4(scene.pod)?, node, 8472, &vxlan(scene)?)
    });
}

#[test]
fn an_arp_answer_for_another_pod() {
    check("spoofed-neighbor", |scene| {
        let (own, victim) = (scene.v4(scene.pod)?, scene.v4(scene.victim)?);
        Ok(scene.arp(2, scene.mac, victim, own))
    });
}

#[test]
fn an_arp_answer_for_the_gateway() {
    check("spoofed-neighbor", |scene| {
        Ok(scene.arp(2, scene.mac, Ipv4Addr::new(169, 254, 1, 1), scene.v4(scene.victim)?))
    });
}

#[test]
fn an_arp_question_with_another_mac() {
    check("spoofed-mac", |scene| {
        Ok(scene.arp(1, [2, 0, 0, 0, 0, 9], scene.v4(scene.pod)?, Ipv4Addr::new(169, 254, 1, 1)))
    });
}

#[test]
fn an_arp_question_for_another_pod() {
    check("neighbor-target", |scene| Ok(scene.arp(1, scene.mac, scene.v4(scene.pod)?, scene.v4(scene.victim)?)));
}

#[test]
fn a_neighbour_advertisement_for_another_pod() {
    check("spoofed-neighbor", |scene| {
        let victim = scene.v6(scene.victim)?;
        let body = neighbour(0x20, victim, 2, scene.mac);
        scene.icmpv6(scene.v6(scene.pod)?, "ff02::1".parse()?, (136, 0), &body)
    });
}

#[test]
fn a_router_advertisement() {
    check("router-advertisement", |scene| {
        let body = [64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        scene.icmpv6(link_local(scene.mac), "ff02::1".parse()?, (134, 0), &body)
    });
}

#[test]
fn a_redirect() {
    check("router-advertisement", |scene| {
        let victim = scene.v6(scene.victim)?;
        let body = [vec![0; 4], victim.octets().to_vec(), victim.octets().to_vec()].concat();
        scene.icmpv6(link_local(scene.mac), victim, (137, 0), &body)
    });
}

#[test]
fn a_vlan_tag() {
    check("vlan", |scene| {
        let mut frame = scene.udp(scene.v4(scene.pod)?, scene.v4(scene.victim)?, 53, b"tagged")?;
        frame.splice(12..12, [0x81, 0, 0, 5]);
        Ok(frame)
    });
}

#[test]
fn another_protocol_than_ip() {
    check("ethertype", |scene| {
        let mut frame = scene.udp(scene.v4(scene.pod)?, scene.v4(scene.victim)?, 53, b"ethertype")?;
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        Ok(frame)
    });
}

#[test]
fn an_ipv4_mapped_address_in_an_ipv6_header() {
    check("v4-mapped", |scene| {
        let source = scene.v4(scene.pod)?.to_ipv6_mapped().octets();
        let destination = scene.v4(scene.victim)?.to_ipv6_mapped().octets();
        let mut frame = Vec::new();
        scene.ethernet().ipv6(source, destination, 64).udp(1, 2).write(&mut frame, b"mapped")?;
        Ok(frame)
    });
}

/// The link-local address that the kernel makes of a MAC (EUI-64).
fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.map(u16::from);
    Ipv6Addr::new(0xfe80, 0, 0, 0, ((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f)
}

/// The network identifier and the outer source that an overlay packet must have.
fn from_the_wire(reason: &str, program: &str, frame: impl Fn(&Scene<'_>) -> Result<Vec<u8>>) {
    within(&Layout::default(), |cluster| {
        let node = &cluster.nodes[0];
        let (pod, victim) = (node.add("a")?, node.add("victim")?);
        let (mac, gateway) = (cluster.underlay.netns.mac("br0")?, node.netns.mac("eth0")?);
        let frame = frame(&Scene { cluster, pod: &pod, victim: &victim, mac, gateway })?;
        let before = node.count(program, reason)?;
        let seen = receive(&victim.netns, "eth0", || send(&cluster.underlay.netns, "br0", &frame))?;
        ensure!(seen.iter().all(|seen| !holds(seen, b"inner")), "it reached the victim");
        let counted = node.count(program, reason)? - before;
        ensure!(counted == 1, "{program} counted {reason} {counted} times for {frame:02x?}");
        Ok(())
    });
}

#[test]
fn an_overlay_packet_whose_inner_source_is_another_nodes() {
    from_the_wire("wrong-node", "from_overlay", |scene| {
        // The underlay's own address is no node's.
        scene.udp(Ipv4Addr::new(172, 30, 0, 1), Ipv4Addr::new(172, 30, 0, 11), 8472, &vxlan(scene)?)
    });
}

#[test]
fn a_local_pods_address_from_the_wire() {
    from_the_wire("local-source", "from_netdev", |scene| {
        scene.udp(scene.v4(scene.pod)?, scene.v4(scene.victim)?, 53, b"inner")
    });
}

#[test]
fn an_unencapsulated_pods_address_from_the_wire() {
    from_the_wire("unencapsulated", "from_netdev", |scene| {
        scene.udp(Ipv4Addr::new(10, 244, 2, 2), scene.v4(scene.victim)?, 53, b"inner")
    });
}

#[test]
fn a_protocol_that_etherparse_does_not_know_passes() {
    // Not everything that is not TCP, UDP or ICMP is hostile.
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let (pod, other) = (node.add("a")?, node.add("b")?);
        let (mac, gateway) = (pod.netns.mac("eth0")?, node.netns.mac(&pod.host_link()?)?);
        let scene = Scene { cluster, pod: &pod, victim: &other, mac, gateway };
        let (source, destination) = (scene.v4(&pod)?.octets(), scene.v4(&other)?.octets());
        let mut frame = Vec::new();
        scene.ethernet().ipv4(source, destination, 64).write(&mut frame, ip_number::SCTP, b"as if it were SCTP")?;
        let seen = receive(&other.netns, "eth0", || send(&pod.netns, "eth0", &frame))?;
        ensure!(seen.iter().any(|seen| holds(seen, b"as if it were SCTP")), "it did not arrive: {seen:02x?}");
        Ok(())
    });
}
