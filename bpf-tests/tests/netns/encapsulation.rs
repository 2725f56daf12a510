//! Programs put pods' packets into the tunnel and take them out: what goes that way, what does not, and that nobody notices
//! which way it is.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use etherparse::PacketBuilder;
use serde_json::Value;
use test_kit::{
    topology::{Cluster, Fabric, Families, Layout, Netns, Node, Pod, until},
    traffic::{Echo, receive, send, transfer},
};

use crate::{
    lasting::Lasting,
    preflight::kernel,
    support::{address, all_reach_all, ends, within},
};

/// Whether this kernel's programs can.
pub fn by_programs() -> Result<bool> {
    Ok(kernel()? >= (5, 12))
}

/// Whether the other node's entry names an uplink.
fn uplink(node: &Node) -> Result<Value> {
    Ok(node.ferrule("node list")?[0]["uplink"].clone())
}

/// Waits for the words with which `status` says who encapsulates.
fn says(node: &Node, words: &str) -> Result<()> {
    let said = || node.ferrule("status").unwrap_or_default()["encapsulation"].to_string();
    until(&format!("{} to say {words:?}", node.name), said, |said| said.contains(words)).map(drop)
}

/// How many packets left by the overlay device, and how many programs gave to pods off the node's own device.
fn counts(node: &Node) -> Result<(u64, u64)> {
    Ok((node.count("to_overlay", "overlay")?, node.count("from_netdev", "pod")?))
}

fn pods(cluster: &Cluster) -> Result<(Pod, Pod)> {
    Ok((cluster.nodes[0].add("a")?, cluster.nodes[1].add("b")?))
}

/// Restarts an agent with another way.
fn restart(node: &Node, way: &str) -> Result<()> {
    node.stop()?;
    node.start_with(&["--encapsulation", way])
}

#[test]
fn pods_packets_pass_no_overlay_device() {
    within(&Layout::default(), |cluster| {
        let (a, b) = pods(cluster)?;
        if !by_programs()? {
            says(&cluster.nodes[0], "by the overlay device: the kernel's programs cannot")?;
            return all_reach_all(&ends(cluster, &[&a, &b]));
        }
        says(&cluster.nodes[0], "by programs on eth0")?;
        ensure!(uplink(&cluster.nodes[0])?.as_str().is_some_and(|way| way.ends_with(" by eth0")), "no uplink");
        let server = Echo::start(&b.netns, &b.addresses)?;
        for to in &b.addresses {
            let before = [counts(&cluster.nodes[0])?, counts(&cluster.nodes[1])?];
            transfer(&a.netns, *to, 4 << 20)?;
            let after = [counts(&cluster.nodes[0])?, counts(&cluster.nodes[1])?];
            for (before, after) in before.iter().zip(&after) {
                ensure!(after.0 == before.0, "{to}: the overlay device had {before:?}, {after:?}");
                // Older kernels' programs take no IPv6 packet out of IPv4.
                ensure!(kernel()? < (6, 3) || after.1 > before.1 + 20, "{to}: programs had {before:?}, {after:?}");
            }
        }
        drop(server);
        all_reach_all(&ends(cluster, &[&a, &b]))
    });
}

#[test]
fn each_node_chooses_for_itself() {
    within(&Layout::default(), |cluster| {
        let (a, b) = pods(cluster)?;
        for (first, second) in [("device", "auto"), ("auto", "device"), ("device", "device")] {
            restart(&cluster.nodes[0], first)?;
            restart(&cluster.nodes[1], second)?;
            for (node, way) in cluster.nodes.iter().zip([first, second]) {
                if way == "device" {
                    says(node, "as --encapsulation says")?;
                    ensure!(uplink(node)?.is_null(), "{}: an uplink", node.name);
                }
            }
            all_reach_all(&ends(cluster, &[&a, &b]))?;
            let _servers = [Echo::start(&a.netns, &a.addresses)?, Echo::start(&b.netns, &b.addresses)?];
            for (from, to) in [(&a, &b), (&b, &a)] {
                to.addresses.iter().try_for_each(|to| transfer(&from.netns, *to, 4 << 20))?;
            }
        }
        Ok(())
    });
}

#[test]
fn another_way_under_traffic_is_not_noticed() {
    within(&Layout::default(), |cluster| {
        let (a, b) = pods(cluster)?;
        let traffic = Lasting::start(&a, &[&b])?;
        for way in ["device", "auto"] {
            for node in &cluster.nodes {
                restart(node, way)?;
                says(node, if way == "device" || !by_programs()? { "by the overlay device" } else { "by programs" })?;
            }
        }
        traffic.ends_undisturbed()
    });
}

#[test]
fn over_an_ipv6_underlay_the_device_encapsulates() {
    within(&Layout { underlay: Families::V6, ..Layout::default() }, |cluster| {
        let (a, b) = pods(cluster)?;
        let before = counts(&cluster.nodes[0])?.0;
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        ensure!(uplink(&cluster.nodes[0])?.is_null() && counts(&cluster.nodes[0])?.0 > before, "it did not");
        Ok(())
    });
}

#[test]
fn by_a_gateway_and_by_several() {
    within(&Layout { fabric: Fabric::Router, underlay: Families::V4, ..Layout::default() }, |cluster| {
        let (a, b) = pods(cluster)?;
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        let n1 = &cluster.nodes[0];
        let gateway = cluster.underlay.gateways(1)[0];
        if by_programs()? {
            ensure!(uplink(n1)? == format!("{gateway} by eth0"), "{:?}", uplink(n1)?);
        }
        // Flows are spread over both, which are one here.
        let again = gateway.to_string().replace(".1.1", ".1.9").replace(".0.1", ".0.9");
        n1.netns.ip(&format!("neigh replace {again} lladdr {} dev eth0", mac(&cluster.underlay.netns, "n1")?))?;
        let other = cluster.nodes[1].addresses.iter().find(|ip| ip.is_ipv4()).context("no IPv4 address")?;
        n1.netns.ip(&format!("route add {other} nexthop via {gateway} dev eth0 nexthop via {again} dev eth0"))?;
        n1.ferrule("doctor --fix")?;
        until("the device to do it", || uplink(n1).ok(), |way| way.as_ref().is_some_and(Value::is_null))?;
        all_reach_all(&ends(cluster, &[&a, &b]))
    });
}

fn mac(netns: &Netns, device: &str) -> Result<String> {
    Ok(netns.mac(device)?.map(|octet| format!("{octet:02x}")).join(":"))
}

#[test]
#[ignore = "needs a kernel with VLANs, as the guests of the kernels tier have"]
fn nodes_on_a_vlan() {
    let layout = Layout { underlay: Families::V4, ..Layout::default() };
    let cluster = Cluster::prepare(test_kit::topology::Prefix::of_a_test(), &layout).expect("it is prepared");
    let test = || -> Result<()> {
        for node in &cluster.nodes {
            let address = node.addresses.iter().find(|ip| ip.is_ipv4()).context("no IPv4 address")?;
            node.netns.ip("link add link eth0 name eth0.5 type vlan id 5")?;
            node.netns.ip("link set eth0.5 up")?;
            node.netns.ip("addr flush dev eth0")?;
            node.netns.ip(&format!("addr add {address}/24 dev eth0.5"))?;
        }
        cluster.start_agents()?;
        let (a, b) = pods(&cluster)?;
        all_reach_all(&ends(&cluster, &[&a, &b]))?;
        let _server = Echo::start(&b.netns, &b.addresses)?;
        b.addresses.iter().try_for_each(|to| transfer(&a.netns, *to, 4 << 20))?;
        let dropped = cluster.nodes[0].count("to_other", "tunnel-from-pod")?;
        ensure!(dropped == 0, "{dropped} were dropped below the VLAN");
        if by_programs()? { says(&cluster.nodes[0], "by programs on eth0.5") } else { Ok(()) }
    };
    if let Err(error) = test() {
        panic!("{error:#}\n\n{}", cluster.describe());
    }
}

#[test]
fn a_node_with_ipsec_policies_leaves_it_to_the_device() {
    within(&Layout::default(), |cluster| {
        let (a, b) = pods(cluster)?;
        let n1 = &cluster.nodes[0];
        // Of nobody here.
        let policy = "src 198.51.100.1/32 dst 198.51.100.2/32 dir out";
        if n1.netns.ip(&format!("xfrm policy add {policy} tmpl proto esp mode transport")).is_err() {
            eprintln!("this kernel has no IPsec");
            return Ok(());
        }
        n1.ferrule("doctor --fix")?;
        if by_programs()? {
            says(n1, "the node has IPsec policies")?;
        }
        until("the device to do it", || uplink(n1).ok(), |way| way.as_ref().is_some_and(Value::is_null))?;
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        n1.netns.ip(&format!("xfrm policy delete {policy}"))?;
        n1.ferrule("doctor --fix")?;
        if by_programs()? { says(n1, "by programs on eth0") } else { Ok(()) }
    });
}

/// `struct ethtool_value`: a command and what is set.
#[repr(C)]
struct Setting(u32, u32);

/// The device computes no checksum (`ETHTOOL_STXCSUM`), and so cuts nothing either: the kernel does both before it.
fn without_offload(netns: &Netns, device: &str) -> Result<()> {
    const ETHTOOL_STXCSUM: u32 = 0x17;
    let asking = || -> io::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"))?;
        let mut setting = Setting(ETHTOOL_STXCSUM, 0);
        // SAFETY: all-zero is a value of this struct of integers.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        request.ifr_name.iter_mut().zip(device.bytes()).for_each(|(octet, byte)| *octet = byte.cast_signed());
        request.ifr_ifru.ifru_data = (&raw mut setting).cast();
        // SAFETY: the request and what it points to outlive the call.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    netns.enter(asking)?.with_context(|| format!("{device} of {}", netns.name()))
}

#[test]
fn segments_and_checksums_are_right_where_the_kernel_makes_them() {
    within(&Layout::default(), |cluster| {
        let (a, b) = pods(cluster)?;
        for node in &cluster.nodes {
            without_offload(&node.netns, "eth0")?;
        }
        let servers = [Echo::start(&a.netns, &a.addresses)?, Echo::start(&b.netns, &b.addresses)?];
        for (from, to) in [(&a, &b), (&b, &a)] {
            to.addresses.iter().try_for_each(|to| transfer(&from.netns, *to, 8 << 20))?;
        }
        drop(servers);
        datagrams(&a, &b)?;
        all_reach_all(&ends(cluster, &[&a, &b]))
    });
}

#[test]
fn datagrams_that_are_sent_as_one_packet_arrive_one_by_one() {
    within(&Layout::default(), |cluster| {
        let (a, b) = pods(cluster)?;
        datagrams(&a, &b)
    });
}

/// Bytes of each datagram, and how many travel at once.
const DATAGRAM: usize = 1000;
const AT_ONCE: usize = 30;

/// UDP GSO, by each family.
fn datagrams(a: &Pod, b: &Pod) -> Result<()> {
    for to in &b.addresses {
        let receiver = b.netns.enter(|| UdpSocket::bind(SocketAddr::new(*to, 0)))??;
        receiver.set_read_timeout(Some(Duration::from_secs(5)))?;
        let any: IpAddr =
            if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
        let sender = a.netns.enter(|| UdpSocket::bind(SocketAddr::new(any, 0)))??;
        sender.connect(receiver.local_addr()?)?;
        segment(&sender)?;
        let sent: Vec<u8> =
            (0..AT_ONCE).flat_map(|number| [u8::try_from(number).unwrap_or_default(); DATAGRAM]).collect();
        ensure!(sender.send(&sent)? == sent.len(), "not all of it was sent");
        let mut block = [0; 2 * DATAGRAM];
        for number in 0..AT_ONCE {
            let length = receiver.recv(&mut block).with_context(|| format!("datagram {number} to {to}"))?;
            ensure!(
                block[..length] == sent[number * DATAGRAM..][..DATAGRAM],
                "{to}: datagram {number} has {length} bytes"
            );
        }
    }
    Ok(())
}

fn segment(socket: &UdpSocket) -> io::Result<()> {
    let size = libc::c_int::try_from(DATAGRAM).map_err(io::Error::other)?;
    let length = libc::socklen_t::try_from(size_of_val(&size)).map_err(io::Error::other)?;
    // SAFETY: `size` outlives the call and has the length that is given.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, (&raw const size).cast(), length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Frames from the nodes' link, as a host there forges them.
struct Wire<'a> {
    cluster: &'a Cluster,
    victim: &'a Pod,
    mac: [[u8; 6]; 2],
}

/// What the victim's socket listens at.
const PORT: u16 = 5353;

impl Wire<'_> {
    fn v4(ip: &IpAddr) -> Result<[u8; 4]> {
        match ip {
            IpAddr::V4(ip) => Ok(ip.octets()),
            IpAddr::V6(_) => anyhow::bail!("{ip} is no IPv4 address"),
        }
    }

    fn node(&self, number: usize) -> Result<[u8; 4]> {
        let address = self.cluster.nodes[number].addresses.iter().find(|ip| ip.is_ipv4());
        Self::v4(address.context("no IPv4 address")?)
    }

    /// A datagram to the victim from a pod that nobody knows, by an outer source; `change` sees the inner frame and the whole.
    fn frame(&self, source: [u8; 4], outer: [u8; 4], change: impl Fn(&mut Vec<u8>, bool)) -> Result<Vec<u8>> {
        let mut inner = Vec::new();
        let victim = Self::v4(&address(self.victim, true)?)?;
        let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        ethernet.ipv4(source, victim, 64).udp(4321, PORT).write(&mut inner, b"inner")?;
        change(&mut inner, true);
        let mut frame = Vec::new();
        let payload = [vec![8, 0, 0, 0, 0, 0, 1, 0], inner].concat();
        let [from, to] = self.mac;
        PacketBuilder::ethernet2(from, to)
            .ipv4(outer, self.node(0)?, 64)
            .udp(50_000, 8472)
            .write(&mut frame, &payload)?;
        frame[40..42].fill(0);
        change(&mut frame, false);
        Ok(frame)
    }

    /// Whether the victim's socket gets what a frame holds.
    fn arrives(&self, frame: &[u8]) -> Result<bool> {
        let listen = || UdpSocket::bind(SocketAddr::new(address(self.victim, true).map_err(io::Error::other)?, PORT));
        let socket = self.victim.netns.enter(listen)??;
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        send(&self.cluster.underlay.netns, "br0", frame)?;
        let mut block = [0; 64];
        Ok(socket.recv(&mut block).is_ok_and(|length| &block[..length] == b"inner"))
    }
}

#[test]
fn what_a_host_on_the_link_forges_reaches_nobody() {
    within(&Layout { nodes: 3, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let victim = node.add("victim")?;
        let mac = [cluster.underlay.netns.mac("br0")?, node.netns.mac("eth0")?];
        let wire = Wire { cluster, victim: &victim, mac };
        let (second, third) = (wire.node(1)?, wire.node(2)?);
        let pod_of = |node: u8| [10, 244, node, 200];
        let unchanged = |_: &mut Vec<u8>, _: bool| {};
        // As from the second node itself, which nothing but its address proves.
        let before = counts(node)?;
        ensure!(wire.arrives(&wire.frame(pod_of(2), second, unchanged)?)?, "what is right does not arrive");
        if by_programs()? {
            ensure!(counts(node)?.1 == before.1 + 1, "no program took it out");
        }
        // A checksum that nobody computed is the pod's to see.
        let broken = wire.frame(pod_of(2), second, |frame, inner| {
            if inner {
                frame[40] ^= 1
            }
        })?;
        ensure!(!wire.arrives(&broken)?, "a wrong checksum was taken for right");
        // By the device: a checksum of the outer datagram, which has to be right.
        let summed = |right: bool| {
            wire.frame(pod_of(2), second, move |frame, inner| {
                if !inner {
                    let sum = udp_checksum(&frame[26..34], &frame[34..]);
                    frame[40..42].copy_from_slice(&(if right { sum } else { sum ^ 1 }).to_be_bytes());
                }
            })
        };
        let before = counts(node)?;
        ensure!(wire.arrives(&summed(true)?)?, "a right outer checksum was refused");
        ensure!(!wire.arrives(&summed(false)?)?, "a wrong outer checksum was taken for right");
        ensure!(counts(node)?.1 == before.1, "a program took it out");
        for (what, reason, frame) in [
            ("another node's pod", "wrong-node", wire.frame(pod_of(3), second, unchanged)?),
            ("another node's address", "wrong-node", wire.frame(third, second, unchanged)?),
            ("nobody's outer source", "wrong-node", wire.frame(pod_of(2), [172, 30, 0, 1], unchanged)?),
            (
                "this node's own pod",
                "local-source",
                wire.frame(Wire::v4(&address(&victim, true)?)?, second, unchanged)?,
            ),
            (
                "another network",
                "not-overlay",
                wire.frame(pod_of(2), second, |frame, inner| {
                    if !inner {
                        frame[48] = 2
                    }
                })?,
            ),
        ] {
            let before = (node.count("from_overlay", reason)?, counts(node)?.1);
            ensure!(!wire.arrives(&frame)?, "{what} arrived");
            let after = (node.count("from_overlay", reason)?, counts(node)?.1);
            ensure!(after == (before.0 + 1, before.1), "{what}: {before:?}, {after:?}");
        }
        // Nothing of it is an answer to the forger.
        let seen = receive(&cluster.underlay.netns, "n1", || {
            send(&cluster.underlay.netns, "br0", &wire.frame(pod_of(3), second, unchanged)?)
        })?;
        ensure!(
            seen.iter().all(|frame| !frame.windows(5).any(|part| part == b"inner") || frame[..6] == mac[1]),
            "an answer"
        );
        Ok(())
    });
}

/// RFC 768: over both addresses, the protocol, the length and the datagram, whose own checksum is 0.
fn udp_checksum(addresses: &[u8], datagram: &[u8]) -> u16 {
    let length = u32::try_from(datagram.len()).unwrap_or_default();
    let halves = addresses.chunks(2).chain(datagram.chunks(2));
    let sum: u32 = halves.map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum();
    let sum = sum + 17 + length;
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or_default()
}
