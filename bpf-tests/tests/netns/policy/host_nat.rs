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
use test_kit::{
    topology::{Layout, Node, Pod, Routing},
    traffic::Ping,
};

use super::{
    door::{DOOR, Door, Knocking},
    live::{Five, ONLY_FRIENDS, SILENT},
    town::within,
};

/// Who is given the node's address on the way to the pod behind its port.
#[derive(Clone, Copy)]
enum Masqueraded {
    /// The pod itself, as with `portmap`.
    Itself,
    /// Everybody, as with a `NodePort` of kube-proxy's.
    Everybody,
}

/// Lets a node's port lead to a pod.
fn forward(node: &Node, to: &Pod, masqueraded: Masqueraded) -> Result<()> {
    let mut rules = String::new();
    for v4 in [true, false] {
        let pod = to.address(v4).context("no address")?;
        let own = node.addresses.iter().find(|own| own.is_ipv4() == v4).context("no address")?;
        let (family, target) = if v4 { ("ip", format!("{pod}:{DOOR}")) } else { ("ip6", format!("[{pod}]:{DOOR}")) };
        let translate = format!("{family} daddr {own} meta l4proto {{ tcp, udp }} th dport {DOOR} dnat to {target}");
        let from = match masqueraded {
            Masqueraded::Itself => format!("{family} saddr {pod}"),
            Masqueraded::Everybody => String::new(),
        };
        rules += &format!(
            "table {family} host_port {{\n\
             chain pre {{ type nat hook prerouting priority dstnat; {translate}; }}\n\
             chain out {{ type nat hook output priority -100; {translate}; }}\n\
             chain post {{ type nat hook postrouting priority srcnat; {from} {family} daddr {pod} masquerade; }}\n}}\n"
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
        forward(own, &five.web, Masqueraded::Itself)?;
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

fn check_behind_the_nodes_address(routing: Routing) {
    within(&Layout { routing, ..Layout::default() }, |town| {
        let five = Five::new(town)?;
        let door = Door::open(&five.web.netns)?;
        let clients = [(1, &five.cut[0], &five.kept[0]), (2, &five.cut[1], &five.kept[1])];
        for (number, near, _) in clients {
            let node = town.node(number);
            forward(node, &five.web, Masqueraded::Everybody)?;
            node.addresses.iter().try_for_each(|to| Ping::to(*to).once(&near.netns).map(drop))?;
        }
        let ask = |let_in: [bool; 2]| -> Result<()> {
            for (number, stranger, friend) in clients {
                let own = town.node(number);
                knocks(stranger, &own.addresses, let_in[0], "its own node")?;
                knocks(friend, &own.addresses, let_in[1], "its own node")?;
            }
            Ok(())
        };
        ask([true, true]).context("without a policy")?;
        let unseen = |pod: &Pod| pod.addresses.iter().all(|address| door.guests(*address) == 0);
        ensure!(clients.iter().all(|(_, a, b)| unseen(a) && unseen(b)), "a pod's own address has been seen");
        town.policies(&[SILENT])?;
        town.settle()?;
        ask([false, true]).context("strangers may reach nobody")?;
        town.policies(&[])?;
        town.settle()?;
        ask([true, true]).context("without a policy again")
    });
}

#[test]
fn a_sender_is_policed_behind_its_nodes_address_by_vxlan() {
    check_behind_the_nodes_address(Routing::Vxlan);
}

#[test]
fn a_sender_is_policed_behind_its_nodes_address_by_native_routing() {
    check_behind_the_nodes_address(Routing::Native);
}

#[test]
fn a_nodes_port_is_policed_by_the_real_ends_by_vxlan() {
    check(Routing::Vxlan);
}

#[test]
fn a_nodes_port_is_policed_by_the_real_ends_by_native_routing() {
    check(Routing::Native);
}
