//! What policies and packets have to do with Services.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use test_kit::topology::{Layout, until};

use super::{
    client::tcp,
    shop::{Shop, at_once, only, open},
};

/// Only `b` may be asked by the pod `x`.
fn isolate(shop: &Shop<'_>) -> Result<()> {
    let allowed: Vec<_> = shop.endpoints(&[("b", "")]).iter().map(|(ip, _)| *ip).collect();
    let block =
        |ip: &std::net::IpAddr| format!("{{ipBlock: {{cidr: \"{ip}/{}\"}}}}", if ip.is_ipv4() { 32 } else { 128 });
    let blocks: Vec<_> = allowed.iter().map(block).collect();
    let policy = format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: only-b, namespace: default}}\n\
         spec: {{podSelector: {{matchLabels: {{who: x}}}}, policyTypes: [Egress], egress: [{{to: [{}]}}]}}\n",
        blocks.join(", ")
    );
    shop.cluster.manifests.write("policy", &policy)?;
    let pod = &shop.clients[0];
    let object = test_kit::topology::manifest::pod(&pod.name, "n1", &pod.addresses);
    let labelled = object.replace("namespace: default}", "namespace: default, labels: {who: x}}");
    shop.cluster.manifests.write(&format!("pod-{}", pod.name), &labelled)?;
    let in_force = || shop.node(0).ferrule("policy list").unwrap_or_default()[0]["pods"].to_string();
    until("the policy to select the pod", in_force, |pods| pods.contains("default/x")).map(drop)
}

#[test]
fn policies_see_the_backend() {
    open(&Layout::default(), |shop| {
        isolate(shop)?;
        for to in shop.addresses() {
            shop.serve("", &shop.endpoints(&[("b", "")]))?;
            shop.leads_to("web", &["b"])?;
            only(shop.client(), to, &["b"])?;
            shop.serve("", &shop.endpoints(&[("a", "")]))?;
            shop.leads_to("web", &["a"])?;
            until("a denied", || shop.client().tcp(to), |answer| matches!(answer, Ok(Err(_)))).map(drop)?;
            ensure!(shop.node(0).count("from_pod", "policy-egress")? > 0, "no drop was counted");
        }
        Ok(())
    });
}

/// Asks from outside of the cgroup, as a socket does that is older than the programs.
fn unseen(netns: &test_kit::topology::Netns, to: SocketAddr) -> Result<std::io::Result<super::client::Answer>> {
    netns.enter(|| tcp(to))
}

#[test]
fn a_packet_that_no_socket_program_saw_is_refused_where_no_kube_proxy_runs() {
    open(&Layout::default(), |shop| {
        let node = shop.node(0);
        for to in shop.addresses() {
            let before = node.count("from_pod", "service")?;
            ensure!(unseen(&shop.clients[0].netns, to)?.is_err(), "{to} answered a pod");
            ensure!(node.count("from_pod", "service")? > before, "from_pod has no reason");
            // The node's own leaves by the default route, and no further than its device.
            let gateway = shop.node(1).addresses.iter().find(|ip| ip.is_ipv4() == to.is_ipv4()).expect("dual stack");
            let family = if to.is_ipv4() { "" } else { "-6 " };
            node.netns.ip(&format!("{family}route replace default via {gateway}"))?;
            let before = node.count("to_netdev", "service")?;
            let answer = unseen(&node.netns, to)?;
            ensure!(answer.is_err(), "{to} answered the node: {answer:?}");
            ensure!(node.count("to_netdev", "service")? > before, "to_netdev has no reason");
        }
        at_once("a socket of the cgroup", || shop.client().tcp(shop.addresses()[0]))???;
        Ok(())
    });
}
