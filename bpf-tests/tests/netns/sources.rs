//! Whatever other addresses a node has, it speaks from its InternalIPs: outside the tunnel, and to its own pods.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Cluster, Families, Layout, Node, Pod, manifest, until},
    traffic::{Ping, Sequence, Tally},
};

use crate::{
    preflight::kernel,
    support::{address, all_reach_all, ends, within},
};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Gives the first node other InternalIPs.
fn renumber(cluster: &Cluster, addresses: &[IpAddr]) -> Result<()> {
    let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
    let nodes = manifest::node("n1", &n1.pod_cidrs, addresses) + &manifest::node("n2", &n2.pod_cidrs, &n2.addresses);
    cluster.manifests.write("nodes", &nodes)
}

/// The outer source of what a node sends to the others.
fn source_is(node: &Node, source: IpAddr) -> Result<()> {
    let shown = || node.ferrule("node list").unwrap_or_default()[0]["source"].clone();
    until(&format!("{} speaks from {source}", node.name), shown, |found| *found == source.to_string()).map(drop)
}

fn pods(cluster: &Cluster) -> Result<(Pod, Pod)> {
    Ok((cluster.nodes[0].add("a")?, cluster.nodes[1].add("b")?))
}

#[test]
fn an_address_that_the_kernel_likes_better_is_not_the_tunnels() {
    for underlay in [Families::V4, Families::V6] {
        within(&Layout { underlay, ..Layout::default() }, |cluster| {
            let (a, b) = pods(cluster)?;
            let n1 = &cluster.nodes[0];
            all_reach_all(&ends(cluster, &[&a, &b]))?;
            // The route names another address, as one that came by DHCP or RA does.
            let (stranger, link) = match underlay {
                Families::V4 => ("172.30.0.77", "172.30.0.0/24"),
                _ => ("fd00:30::77", "fd00:30::/64"),
            };
            let length = if ip(stranger).is_ipv4() { "24" } else { "64 nodad" };
            n1.netns.ip(&format!("address add {stranger}/{length} dev eth0"))?;
            n1.netns.ip(&format!("route replace {link} dev eth0 proto kernel src {stranger}"))?;
            let other = cluster.nodes[1].addresses[0];
            let route = n1.netns.ip(&format!("route get {other}"))?;
            ensure!(route.contains(stranger), "the kernel does not choose it: {route}");
            if names_sources()? {
                all_reach_all(&ends(cluster, &[&a, &b]))?;
                ensure!(cluster.nodes[1].count("from_overlay", "wrong-node")? == 0, "packets were dropped");
            }
            // Now the agent knows of it, too.
            n1.ferrule("doctor --fix")?;
            source_is(n1, n1.addresses[0])?;
            if names_sources()? {
                return all_reach_all(&ends(cluster, &[&a, &b]));
            }
            // By the host's routes, which lead to pods and to no node's own address.
            let reaches = |from: &Pod, to: &Pod| -> Result<()> {
                to.addresses.iter().try_for_each(|to| Ping::to(*to).once(&from.netns).map(drop))
            };
            reaches(&a, &b)?;
            reaches(&b, &a)
        });
    }
}

#[test]
fn every_internal_ip_of_a_node_is_believed() {
    within(&Layout { underlay: Families::V4, ..Layout::default() }, |cluster| {
        let (a, b) = pods(cluster)?;
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        // The second InternalIP alone is on a device: the first is what a load balancer has, say.
        renumber(cluster, &[ip("172.30.0.99"), n1.addresses[0]])?;
        source_is(n1, n1.addresses[0])?;
        let known = || n2.ferrule("map dump fr_peers").unwrap_or_default().to_string();
        until("the other node knows it", known, |peers| peers.contains("172.30.0.99"))?;
        // What the other node sends to the first goes nowhere; what comes from here arrives.
        let sequence = Sequence::start(&a.netns, &b.netns, address(&b, true)?)?;
        thread::sleep(Duration::from_secs(1));
        let tally = sequence.end();
        ensure!(tally.gaps.is_empty() && tally.sent > 100, "{tally}");
        Ok(())
    });
}

/// Whether programs name the tunnel's source, so that the kernel's choice never counts.
fn names_sources() -> Result<bool> {
    Ok(kernel()? >= (6, 0))
}

/// Milliseconds that an emulated kernel may take to remove an address: a datagram each. Without the agent's part a half of all
/// is lost for seconds.
const MOMENT: u32 = 50;

/// By the book: add the new address, change the Node, remove the old one.
#[test]
fn a_node_is_renumbered_without_a_lost_datagram() {
    // A kernel that chooses takes the new IPv6 address at once, before it is an InternalIP.
    let names = names_sources().expect("a kernel's version");
    for (underlay, new, length) in [(Families::V4, "172.30.0.61", "24"), (Families::V6, "fd00:30::61", "64 nodad")] {
        if underlay == Families::V6 && !names {
            continue;
        }
        within(&Layout { underlay, ..Layout::default() }, |cluster| {
            let (a, b) = pods(cluster)?;
            let n1 = &cluster.nodes[0];
            let old = n1.addresses[0];
            all_reach_all(&ends(cluster, &[&a, &b]))?;
            // Else the kernel removes the new address with the old one, whose secondary it is.
            n1.netns.sysctl("ipv4/conf/eth0/promote_secondaries", "1")?;
            let there = Sequence::start(&a.netns, &b.netns, address(&b, true)?)?;
            let back = Sequence::start(&b.netns, &a.netns, address(&a, true)?)?;
            n1.netns.ip(&format!("address add {new}/{length} dev eth0"))?;
            thread::sleep(Duration::from_secs(1));
            renumber(cluster, &[ip(new)])?;
            source_is(n1, ip(new))?;
            thread::sleep(Duration::from_millis(500));
            n1.netns.ip(&format!("address del {old}/{} dev eth0", length.split(' ').next().unwrap_or(length)))?;
            thread::sleep(Duration::from_secs(2));
            let (there, back) = (there.end(), back.end());
            // Where the kernel chooses the source, it has none while it takes the old address and its route off the device.
            let moment = if names { 0 } else { MOMENT };
            let missing = |tally: &Tally| tally.gaps.iter().map(|gap| gap.end() - gap.start() + 1).sum::<u32>();
            ensure!(missing(&there) <= moment && missing(&back) <= moment, "there: {there}; back: {back}");
            ensure!(there.sent > 1000 && back.sent > 1000, "{there}; {back}");
            Ok(())
        });
    }
}

#[test]
fn a_restart_in_the_middle_of_it_forgets_nothing() {
    within(&Layout { underlay: Families::V4, ..Layout::default() }, |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let old = n1.addresses[0].to_string();
        n1.netns.ip("address add 172.30.0.61/24 dev eth0")?;
        renumber(cluster, &[ip("172.30.0.61")])?;
        let peers = || n2.ferrule("map dump fr_peers").unwrap_or_default().to_string();
        until("the new address is known", peers, |peers| peers.contains("172.30.0.61"))?;
        ensure!(peers().contains(&old), "{}", peers());
        n2.kill()?;
        n2.start()?;
        ensure!(peers().contains(&old), "{}", peers());
        Ok(())
    });
}

/// A datagram's answer comes from the address that was asked, or a client takes it for somebody else's.
fn answers(pod: &Pod, node: &Node, at: IpAddr) -> Result<()> {
    let at = SocketAddr::new(at, 7100);
    // As most servers do: not bound to an address, so that the kernel chooses the answer's source.
    let any: IpAddr = if at.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let server = node.netns.enter(|| UdpSocket::bind((any, at.port())))??;
    let client =
        pod.netns.enter(|| UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(at).map(|()| socket)))??;
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    }
    client.send(b"who?")?;
    let mut buffer = [0; 16];
    let (_, from) = server.recv_from(&mut buffer).context("the question")?;
    server.send_to(b"I", from)?;
    client.recv(&mut buffer).with_context(|| format!("no answer from {at}")).map(drop)
}

#[test]
fn a_nodes_own_pods_get_answers_from_the_address_that_they_asked() {
    within(&Layout::default(), |cluster| {
        let n1 = &cluster.nodes[0];
        // An address of a BGP daemon's, which the kernel prefers for what has no address of its own device.
        n1.netns.ip("link set lo up")?;
        n1.netns.ip("address add 192.0.2.200/32 dev lo scope global")?;
        n1.netns.ip("address add 2001:db8::200/128 dev lo")?;
        let a = n1.add("a")?;
        for own in &n1.addresses {
            answers(&a, n1, *own)?;
        }
        // A Node that gets another InternalIP speaks from that one.
        n1.netns.ip("address add 172.30.0.62/24 dev eth0")?;
        let new = [ip("172.30.0.62"), n1.addresses[1]];
        renumber(cluster, &new)?;
        let route = || n1.netns.ip(&format!("route show {}", a.addresses[0])).unwrap_or_default();
        until("the pod's route names it", route, |route| route.contains("src 172.30.0.62"))?;
        n1.check(&a)?;
        for own in &new {
            answers(&a, n1, *own)?;
        }
        // One that no device has is no source: the one that was an InternalIP a moment ago, or none.
        renumber(cluster, &[ip("172.30.0.63"), n1.addresses[1]])?;
        n1.netns.ip("address del 172.30.0.62/24 dev eth0")?;
        let stands = |route: &String| route.contains(" dev fr") && !route.contains(".62") && !route.contains(".63");
        until("the route stands without it", route, stands)?;
        let checked = || n1.check(&a).map_err(|error| format!("{error:#}"));
        until("the pod lacks nothing", checked, Result::is_ok)?.map_err(anyhow::Error::msg)
    });
}
