//! Every pod and every node reaches every other, whatever the cluster is like.

use test_kit::topology::{Fabric, Families, Layout, Routing};

use crate::support::{all_reach_all, ends, within};

fn check(layout: &Layout) {
    within(layout, |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b, c) = (n1.add("a")?, n1.add("b")?, n2.add("c")?);
        all_reach_all(&ends(cluster, &[&a, &b, &c]))?;
        // Known pods take another way through the maps than unknown ones of a known CIDR.
        for (pod, node) in [(&a, n1), (&b, n1), (&c, n2)] {
            cluster.publish(pod, node)?;
        }
        test_kit::topology::until(
            "n2 to know the pods of n1",
            || n2.ferrule("status").map(|status| status["remotePods"].as_u64()).unwrap_or_default(),
            |known| known.is_some_and(|known| known >= 2),
        )?;
        all_reach_all(&ends(cluster, &[&a, &b, &c]))
    });
}

#[test]
fn dual_stack_by_vxlan() {
    check(&Layout::default());
}

#[test]
fn dual_stack_by_native_routing() {
    check(&Layout { routing: Routing::Native, ..Layout::default() });
}

#[test]
fn only_ipv4_by_vxlan() {
    check(&Layout { pods: Families::V4, underlay: Families::V4, ..Layout::default() });
}

#[test]
fn only_ipv4_by_native_routing() {
    check(&Layout { pods: Families::V4, underlay: Families::V4, routing: Routing::Native, ..Layout::default() });
}

#[test]
fn only_ipv6_by_vxlan() {
    check(&Layout { pods: Families::V6, underlay: Families::V6, ..Layout::default() });
}

#[test]
fn only_ipv6_by_native_routing() {
    check(&Layout { pods: Families::V6, underlay: Families::V6, routing: Routing::Native, ..Layout::default() });
}

#[test]
fn ipv6_pods_over_an_ipv4_underlay() {
    check(&Layout { pods: Families::V6, underlay: Families::V4, ..Layout::default() });
}

#[test]
fn ipv4_pods_over_an_ipv6_underlay() {
    check(&Layout { pods: Families::V4, underlay: Families::V6, ..Layout::default() });
}

#[test]
fn dual_stack_pods_over_an_ipv4_underlay() {
    check(&Layout { underlay: Families::V4, ..Layout::default() });
}

#[test]
fn dual_stack_pods_over_an_ipv6_underlay() {
    check(&Layout { underlay: Families::V6, ..Layout::default() });
}

/// That automatic routing reaches everybody, and takes this way.
fn check_automatic(fabric: Fabric, forwarding: &str) {
    let layout = Layout { fabric, routing: Routing::Auto, ..Layout::default() };
    within(&layout, |cluster| {
        let (a, b) = (cluster.nodes[0].add("a")?, cluster.nodes[1].add("b")?);
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        for node in &cluster.nodes {
            let nodes = node.ferrule("node list")?;
            anyhow::ensure!(nodes[0]["forwarding"] == forwarding, "{}: {nodes}", node.name);
        }
        Ok(())
    });
}

#[test]
fn automatic_routing_is_native_on_one_link() {
    check_automatic(Fabric::Bridge, "native");
}

#[test]
fn automatic_routing_is_a_tunnel_across_a_router() {
    check_automatic(Fabric::Router, "vxlan");
}

#[test]
fn nodes_on_links_of_their_own_by_vxlan() {
    check(&Layout { fabric: Fabric::Router, ..Layout::default() });
}
