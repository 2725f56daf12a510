//! What a restart with other settings, or a changed Node object, does to pods that run: what docs/operations.md says.

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Cluster, Layout, Node, Pod, Routing, manifest, until},
    traffic::{Echo, Ping, transfer},
};

use crate::{
    lasting::Lasting,
    support::{address, all_reach_all, ends, says, within},
};

/// Restarts agents with these settings in the place of theirs.
fn restart(nodes: &[&Node], settings: &[&str]) -> Result<()> {
    nodes.iter().try_for_each(|node| {
        node.stop()?;
        node.start_with(settings)
    })
}

fn mtu(pod: &Pod) -> Result<u64> {
    let links: serde_json::Value = serde_json::from_str(&pod.netns.ip("-j link show eth0")?)?;
    links[0]["mtu"].as_u64().context("the link has no MTU")
}

/// Large and small packets travel both ways, and nobody complains.
fn works(cluster: &Cluster, pods: &[&Pod]) -> Result<()> {
    for node in &cluster.nodes {
        let findings = node.doctor()?;
        let failures: Vec<_> = findings.iter().filter(|finding| finding["verdict"] == "failure").collect();
        ensure!(failures.is_empty(), "{}: {failures:?}", node.name);
    }
    for from in pods {
        let _server = Echo::start(&from.netns, &from.addresses)?;
        for to in pods.iter().filter(|to| to.name != from.name) {
            for address in &from.addresses {
                transfer(&to.netns, *address, 300_000)?;
            }
        }
    }
    all_reach_all(&ends(cluster, pods))
}

#[test]
fn another_mtu_is_for_new_pods() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        let traffic = Lasting::start(&a, &[&b])?;
        restart(&[n1, n2], &["--mtu", "1400"])?;
        traffic.ends_undisturbed()?;
        let c = n1.add("c")?;
        ensure!((mtu(&a)?, mtu(&c)?) == (1450, 1400), "the old and the new pod have {} and {}", mtu(&a)?, mtu(&c)?);
        n1.check(&a)?;
        works(cluster, &[&a, &b, &c])
    });
}

/// Both nodes change; what a restart takes is all that running pods notice, and their connections go on.
fn change_routing(from: Routing, to: &str, mtus: (u64, u64)) {
    within(&Layout { routing: from, ..Layout::default() }, |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b, c) = (n1.add("a")?, n1.add("b")?, n2.add("c")?);
        let (near, far) = (Lasting::start(&a, &[&b])?, Lasting::start(&b, &[&c])?);
        n1.stop()?;
        n2.stop()?;
        n1.start_with(&["--routing", to])?;
        n2.start_with(&["--routing", to])?;
        near.ends_undisturbed().context("within the node")?;
        eprintln!("to the other node: {:?}", far.end().context("a connection to the other node broke")?);
        let d = n1.add("d")?;
        ensure!((mtu(&a)?, mtu(&d)?) == mtus, "the old and the new pod have {} and {}", mtu(&a)?, mtu(&d)?);
        [&a, &b, &d].iter().try_for_each(|pod| n1.check(pod))?;
        works(cluster, &[&a, &b, &c, &d])
    });
}

#[test]
fn from_vxlan_to_native_routing_running_pods_go_on() {
    change_routing(Routing::Vxlan, "native", (1450, 1500));
}

#[test]
fn from_native_routing_to_vxlan_running_pods_go_on() {
    change_routing(Routing::Native, "vxlan", (1500, 1450));
}

#[test]
fn from_automatic_routing_to_vxlan_running_pods_go_on() {
    change_routing(Routing::Auto, "vxlan", (1450, 1450));
}

#[test]
fn between_native_and_automatic_routing_on_one_link_nothing_is_lost() {
    within(&Layout { routing: Routing::Native, ..Layout::default() }, |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b, c) = (n1.add("a")?, n1.add("b")?, n2.add("c")?);
        for routing in ["auto", "native"] {
            let traffic = Lasting::start(&a, &[&b, &c])?;
            restart(&[n1, n2], &["--routing", routing])?;
            traffic.ends_undisturbed().with_context(|| format!("to {routing}"))?;
            works(cluster, &[&a, &b, &c])?;
        }
        Ok(())
    });
}

#[test]
fn another_port_of_the_overlay_is_taken_at_once() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b, c) = (n1.add("a")?, n1.add("b")?, n2.add("c")?);
        let (near, far) = (Lasting::start(&a, &[&b])?, Lasting::start(&b, &[&c])?);
        restart(&[n1, n2], &["--vxlan-port", "4789"])?;
        near.ends_undisturbed().context("within the node")?;
        eprintln!("to the other node: {:?}", far.end().context("a connection to the other node broke")?);
        let device = n1.netns.ip("-d link show ferrule-vxlan")?;
        ensure!(device.contains("dstport 4789"), "{device}");
        works(cluster, &[&a, &b, &c])
    });
}

#[test]
fn other_cluster_cidrs_are_in_force_at_once() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        let traffic = Lasting::start(&a, &[&b])?;
        restart(&[n1, n2], &["--cluster-cidrs", "10.192.0.0/10"])?;
        traffic.ends_undisturbed()?;
        let cidrs = n1.ferrule("map dump fr_cidrs")?;
        ensure!(cidrs.as_array().is_some_and(|all| all.len() == 1) && cidrs[0]["prefix"] == "10.192.0.0/10", "{cidrs}");
        let routes = n1.netns.ip("route show type unreachable")?;
        ensure!(routes.contains("10.192.0.0/10") && !routes.contains("10.244.0.0/16"), "{routes}");
        says(Ping::to("10.200.0.1".parse()?).once(&a.netns), &["nreachable"])?;
        works(cluster, &[&a, &b])
    });
}

#[test]
fn another_device_carries_programs_at_once() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        n1.netns.ip("link add spare type veth peer name spare1")?;
        ["spare", "spare1"].iter().try_for_each(|link| n1.netns.ip(&format!("link set {link} up")).map(drop))?;
        for devices in ["eth0,spare", "eth0"] {
            let traffic = Lasting::start(&a, &[&b])?;
            restart(&[n1], &["--devices", devices])?;
            traffic.ends_undisturbed().with_context(|| devices.to_owned())?;
            let status = n1.ferrule("status")?;
            let found: Vec<_> =
                status["devices"].as_array().into_iter().flatten().filter_map(|one| one.as_str()).collect();
            ensure!(found.join(",") == devices, "{found:?}");
            works(cluster, &[&a, &b])?;
        }
        // One that is not there is refused, and what ran goes on.
        let traffic = Lasting::start(&a, &[&b])?;
        n1.stop()?;
        says(n1.start_with(&["--devices", "eth7"]), &["eth7"])?;
        traffic.ends_undisturbed()?;
        n1.start()
    });
}

#[test]
fn another_pod_cidr_is_for_new_pods() {
    for live in [true, false] {
        within(&Layout::default(), |cluster| {
            let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
            let (a, b, c) = (n1.add("a")?, n1.add("b")?, n2.add("c")?);
            // Other nodes know where an address is by its Pod object, also outside of the node's pod CIDR.
            for (pod, node) in [(&a, n1), (&b, n1), (&c, n2)] {
                cluster.publish(pod, node)?;
            }
            let known = || n2.ferrule("status").ok().and_then(|status| status["remotePods"].as_u64());
            until("the pods to be known", known, |count| *count == Some(4))?;
            let traffic = Lasting::start(&a, &[&b, &c])?;
            if !live {
                n1.stop()?;
            }
            let cidrs = ["10.244.77.0/24".to_owned(), "fd00:244:77::/64".to_owned()];
            let nodes =
                manifest::node("n1", &cidrs, &n1.addresses) + &manifest::node("n2", &n2.pod_cidrs, &n2.addresses);
            cluster.manifests.write("nodes", &nodes)?;
            if !live {
                n1.start()?;
            }
            for node in [n1, n2] {
                let seen = || {
                    let map = node.ferrule("map dump fr_routes").unwrap_or_default().to_string();
                    map.contains("10.244.77.0/24") && !map.contains("10.244.1.0/24")
                };
                until("the new pod CIDR", seen, |seen| *seen)?;
            }
            traffic.ends_undisturbed()?;
            let d = n1.add("d")?;
            ensure!(
                d.addresses.iter().all(|ip| ip.to_string().contains(if ip.is_ipv4() { ".77." } else { ":77:" })),
                "{d:?}"
            );
            n1.check(&a)?;
            works(cluster, &[&a, &b, &c, &d])?;
            // A released address of the former CIDR is not leased again.
            n1.del(&b)?;
            let e = n1.add("e")?;
            ensure!(address(&e, true)?.to_string().starts_with("10.244.77."), "{e:?}");
            let left = n1.ferrule("map dump fr_endpoints")?.to_string();
            ensure!(!left.contains(&address(&b, true)?.to_string()), "{left}");
            Ok(())
        });
    }
}
