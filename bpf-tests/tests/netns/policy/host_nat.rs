//! Beside the host's NAT: a port of a node that leads to a pod, by a translation that somebody else made. Policies look at
//! the real ends, and answers go back through the stack.

use std::{
    io::Write,
    net::IpAddr,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bpf_tests::{
    topology::{Layout, Node, Pod, Routing},
    traffic::Ping,
};

use super::{
    door::{DOOR, Door, Knocking},
    live::{Five, ONLY_FRIENDS},
    town::within,
};

/// Lets every node's port lead to a pod; what a pod sends to itself this way comes from the node, as with `portmap`.
fn forward(node: &Node, to: &Pod) -> Result<()> {
    let mut rules = String::new();
    for v4 in [true, false] {
        let pod = to.address(v4).context("no address")?;
        let own = node.addresses.iter().find(|own| own.is_ipv4() == v4).context("no address")?;
        let (family, target) = if v4 { ("ip", format!("{pod}:{DOOR}")) } else { ("ip6", format!("[{pod}]:{DOOR}")) };
        let translate = format!("{family} daddr {own} meta l4proto {{ tcp, udp }} th dport {DOOR} dnat to {target}");
        rules += &format!(
            "table {family} host_port {{\n\
             chain pre {{ type nat hook prerouting priority dstnat; {translate}; }}\n\
             chain out {{ type nat hook output priority -100; {translate}; }}\n\
             chain post {{ type nat hook postrouting priority srcnat; {family} saddr {pod} {family} daddr {pod} masquerade; }}\n}}\n"
        );
    }
    let mut command: Command = node.netns.command("nft");
    let mut nft = command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    nft.stdin.take().context("no input")?.write_all(rules.as_bytes())?;
    let output = nft.wait_with_output()?;
    ensure!(output.status.success(), "{rules}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// That a pod gets through a node's port, or does not.
fn knocks(from: &Pod, to: &[IpAddr], let_in: bool, what: &str) -> Result<()> {
    let knocking = Knocking::start(&from.netns, to, let_in);
    thread::sleep(Duration::from_millis(200));
    let ended = if let_in { knocking.was_always_let_in() } else { knocking.was_never_let_in() };
    ended.map(drop).with_context(|| format!("{} to {what}", from.name))
}

fn check(routing: Routing) {
    within(&Layout { routing, ..Layout::default() }, |town| {
        let five = Five::new(town)?;
        let door = Door::open(&five.web.netns)?;
        let own = town.node(1);
        forward(own, &five.web)?;
        // What neighbour discovery on the underlay costs the first packet is nobody's doing.
        own.addresses.iter().try_for_each(|to| Ping::to(*to).once(&five.cut[1].netns).map(drop))?;
        let [near, far] = &five.cut;
        let [friend, distant] = &five.kept;
        let everybody = [near, far, friend, distant, &five.web];
        for pod in everybody {
            knocks(pod, &own.addresses, true, "the web's node, without a policy")?;
        }
        for (pod, address) in everybody.iter().flat_map(|pod| pod.addresses.iter().map(move |address| (pod, address))) {
            // What comes from itself comes from the node.
            let seen = door.guests(*address) > 0;
            ensure!(seen == (pod.name != five.web.name), "{}: the web has seen {address}: {seen}", pod.name);
        }
        town.policies(&[ONLY_FRIENDS])?;
        town.settle()?;
        for (pod, let_in) in [(near, false), (far, false), (friend, true), (distant, true), (&five.web, true)] {
            knocks(pod, &own.addresses, let_in, "the web's node")?;
        }
        Ok(())
    });
}

#[test]
fn a_nodes_port_is_policed_by_the_real_ends_by_vxlan() {
    check(Routing::Vxlan);
}

#[test]
fn a_nodes_port_is_policed_by_the_real_ends_by_native_routing() {
    check(Routing::Native);
}
