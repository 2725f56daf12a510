//! Objects that lie about addresses: whoever writes them harms itself, and nobody else.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_kit::topology::{Layout, Node, manifest, until};

use crate::{
    lasting::Lasting,
    support::{all_reach_all, ends, within},
};

/// What a node's kernel does with addresses: its routes, its tunnel's MTU, the devices that carry programs.
fn kernel(node: &Node) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for words in ["-o route show", "-o -6 route show", "-o link show ferrule-vxlan"] {
        let text = node.netns.ip(words)?;
        // What the kernel learned by itself comes and goes.
        found.extend(text.lines().filter(|line| !line.contains("cache")).map(|line| line.trim().to_owned()));
    }
    found.push(node.ferrule("status")?["devices"].to_string());
    Ok(found)
}

fn issues(node: &Node) -> Vec<String> {
    let status = node.ferrule("status").unwrap_or_default();
    let issues = status["issues"].as_array().cloned().unwrap_or_default();
    issues.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn an_internal_ip_among_pods_takes_nobody_down() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        let before = kernel(n1)?;
        let lie = manifest::node("n9", &["10.244.9.0/24".to_owned()], &addresses(&["10.244.2.200", "fd00:244:2::200"]));
        cluster.manifests.write("liar", &lie)?;
        says(n1, &["Node n9", "10.244.2.200 lies inside"])?;
        // A way by our own tunnel, whatever leads there, is none of the underlay's.
        n1.netns.ip("route add 198.51.100.0/24 dev ferrule-vxlan")?;
        let far = manifest::node("n8", &["10.244.8.0/24".to_owned()], &addresses(&["198.51.100.8"]));
        cluster.manifests.write("far", &far)?;
        says(n1, &["Node n8", "198.51.100.8"])?;
        for _ in 0..4 {
            n1.ferrule("doctor --fix")?;
        }
        n1.netns.ip("route del 198.51.100.0/24 dev ferrule-vxlan")?;
        cluster.manifests.remove("far")?;
        cluster.manifests.remove("liar")?;
        until("all is as before", || kernel(n1).unwrap_or_default(), |now| *now == before)?;
        all_reach_all(&ends(cluster, &[&a, &b]))
    });
}

/// Waits for an issue with all these words.
fn says(node: &Node, words: &[&str]) -> Result<()> {
    let has = |issues: &Vec<String>| issues.iter().any(|issue| words.iter().all(|word| issue.contains(word)));
    until(&format!("{} says {words:?}", node.name), || issues(node), has).map(drop)
}

fn addresses(text: &[&str]) -> Vec<IpAddr> {
    text.iter().map(|one| one.parse().expect("an address")).collect()
}

#[test]
fn a_node_that_lies_harms_itself_alone() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        cluster.publish(&a, n1)?;
        cluster.publish(&b, n2)?;
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        let traffic = Lasting::start(&a, &[&b])?;
        let (before1, before2) = (kernel(n1)?, kernel(n2)?);
        let (of_n1, of_n2) = (n1.addresses[0].to_string(), n2.addresses[0].to_string());
        let (of_a, of_b) = (a.addresses[0].to_string(), b.addresses[0].to_string());
        let lies: [(&[&str], &[&str], &[&str]); 7] = [
            (&[&of_n2], &["10.244.9.0/24"], &["Node n0", "is node n2's too"]),
            (&["10.244.1.200"], &["10.244.9.0/24"], &["Node n0", "10.244.1.200 lies inside"]),
            (&["169.254.169.254"], &["169.254.0.0/24"], &["Node n0", "169.254.169.254 is link-local"]),
            (&["172.30.0.99"], &["8.0.0.0/8", "2000::/3"], &["Node n0", "8.0.0.0/8 is broader than /12"]),
            (&["172.30.0.99"], &["::/0", "8.8.8.0/24"], &["Node n0", "8.8.8.0/24 lies outside of cluster-cidrs"]),
            (&["172.30.0.99"], &["10.244.2.0/25"], &["Node n0", "10.244.2.0/25 overlaps 10.244.2.0/24 of node n2"]),
            (&["172.30.0.99"], &["10.244.0.0/16"], &["Node n0", "overlaps 10.244.1.0/24 of node n1"]),
        ];
        for (ips, cidrs, words) in lies {
            let cidrs: Vec<String> = cidrs.iter().map(|cidr| (*cidr).to_owned()).collect();
            // Its name goes before the others', and it is as old.
            cluster.manifests.write("liar", &manifest::node("n0", &cidrs, &addresses(ips)))?;
            for node in [n1, n2] {
                says(node, words)?;
            }
            // What is not refused, such as 10.244.9.0/24, needs an InternalIP that is not.
            for (node, before) in [(n1, &before1), (n2, &before2)] {
                let now = kernel(node)?;
                ensure!(now == *before, "{} after {ips:?} {cidrs:?}: {before:#?}\n{now:#?}", node.name);
            }
        }
        let n0 = manifest::node("n0", &["10.244.9.0/24".to_owned()], &addresses(&["172.30.0.99"]));
        let thief = |ips: &[&str]| manifest::pod("a-thief", "n0", &addresses(ips));
        let stolen = [&of_a[..], &of_b, &of_n1, "169.254.169.254", "8.8.8.8"];
        cluster.manifests.write("liar", &(n0 + &thief(&stolen)))?;
        for address in stolen {
            for node in [n1, n2] {
                says(node, &["Pod default/a-thief", address])?;
            }
        }
        for node in [n1, n2] {
            let led =
                |line: &&String| line.contains("encap") && stolen.iter().any(|ip| line.starts_with(&format!("{ip} ")));
            let routes = kernel(node)?;
            ensure!(!routes.iter().any(|line| led(&line)), "{routes:#?}");
            let blamed: Vec<_> = issues(node).into_iter().filter(|one| !one.contains("a-thief")).collect();
            ensure!(blamed.iter().all(|issue| issue.contains("n0")), "somebody else is blamed: {blamed:?}");
        }
        traffic.ends_undisturbed().context("while a node lied")?;
        all_reach_all(&ends(cluster, &[&a, &b]))
    });
}

#[test]
fn an_internal_ip_of_pods_links_makes_no_device_the_nodes() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        let devices = n1.ferrule("status")?["devices"].clone();
        // Addresses of a pod's link, which has fe80::1 by itself, and of the tunnel.
        let link = n1.netns.links()?.into_iter().find(|name| name.starts_with("fr")).context("a pod's link")?;
        n1.netns.ip(&format!("address add 192.0.2.77/32 dev {link}"))?;
        n1.netns.ip("address add 192.0.2.78/32 dev ferrule-vxlan")?;
        let own: Vec<IpAddr> =
            n1.addresses.iter().copied().chain(addresses(&["fe80::1", "192.0.2.77", "192.0.2.78"])).collect();
        let nodes = manifest::node("n1", &n1.pod_cidrs, &own) + &manifest::node("n2", &n2.pod_cidrs, &n2.addresses);
        cluster.manifests.write("nodes", &nodes)?;
        says(n1, &["Node n1", "fe80::1 is link-local"])?;
        let c = n1.add("c")?;
        ensure!(n1.ferrule("status")?["devices"] == devices, "{}", n1.ferrule("status")?);
        all_reach_all(&ends(cluster, &[&a, &b, &c]))
    });
}
