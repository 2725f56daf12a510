//! Beside kube-proxy: its rules translate what no socket program saw.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use test_kit::topology::{Layout, Node, until};

use super::{
    client::tcp,
    shop::{LISTENS, Shop, feed, open},
};

/// Rules of the kind that kube-proxy makes, in a table of its name, for one backend.
fn proxy(shop: &Shop<'_>, node: &Node, server: &str) -> Result<()> {
    let mut rules = String::new();
    for (to, (backend, _)) in shop.addresses().iter().zip(shop.endpoints(&[(server, "")])) {
        let (family, target) = match backend {
            std::net::IpAddr::V4(ip) => ("ip", format!("{ip}:{LISTENS}")),
            std::net::IpAddr::V6(ip) => ("ip6", format!("[{ip}]:{LISTENS}")),
        };
        let translate = format!("{family} daddr {} tcp dport {} dnat to {target}", to.ip(), to.port());
        rules += &format!(
            "table {family} kube-proxy {{\n}}\ndelete table {family} kube-proxy\ntable {family} kube-proxy {{\n\
             chain pre {{ type nat hook prerouting priority dstnat; {translate}; }}\n\
             chain out {{ type nat hook output priority -100; {translate}; }}\n}}\n"
        );
    }
    feed(&node.netns, "nft", &["-f", "-"], &rules)
}

#[test]
fn kube_proxy_is_found_and_translates_what_no_socket_program_saw() {
    open(&Layout { arguments: &["--kube-proxy", "auto"], ..Layout::default() }, |shop| {
        let node = shop.node(0);
        for to in shop.addresses() {
            ensure!(shop.clients[0].netns.enter(|| tcp(to))?.is_err(), "{to} is translated by nobody yet");
        }
        for server in ["b", "c"] {
            proxy(shop, node, server)?;
            // It is looked for every fifteen seconds.
            let found = || node.ferrule("status").unwrap_or_default()["kubeProxy"] == true;
            let patient = || {
                (0..40).any(|_| {
                    found() || {
                        thread::sleep(Duration::from_millis(500));
                        false
                    }
                })
            };
            ensure!(patient(), "kube-proxy was not found");
            for to in shop.addresses() {
                let answer = shop.clients[0].netns.enter(|| tcp(to))??;
                ensure!(answer.name == server && answer.from == to, "{answer:?} is not {server}'s");
                // The node's own needs a route before it is translated.
                let gateway =
                    shop.node(1).addresses.iter().find(|ip| ip.is_ipv4() == to.is_ipv4()).context("no gateway")?;
                let family = if to.is_ipv4() { "" } else { "-6 " };
                node.netns.ip(&format!("{family}route replace default via {gateway}"))?;
                let answer = node.netns.enter(|| tcp(to))??;
                ensure!(answer.name == server && answer.from == to, "{answer:?} is not {server}'s");
            }
        }
        // A policy of the pod looks at who answers in the end.
        let deny = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: none, namespace: default}\n\
                    spec: {podSelector: {}, policyTypes: [Egress]}\n";
        shop.cluster.manifests.write("policy", deny)?;
        for to in shop.addresses() {
            until("the policy", || shop.clients[0].netns.enter(|| tcp(to)), |answer| matches!(answer, Ok(Err(_))))
                .map(drop)?;
        }
        Ok(())
    });
}

#[test]
fn kube_proxy_translates_packets_where_sockets_cannot_be_served() {
    // No cgroup v2: what a node with version 1 alone has.
    let arguments = &["--kube-proxy", "present", "--cgroup-root", "/tmp"];
    open(&Layout { arguments, ..Layout::default() }, |shop| {
        let node = shop.node(0);
        proxy(shop, node, "b")?;
        let status = || node.ferrule("status").unwrap_or_default();
        let told = |status: &serde_json::Value| status["errors"].to_string().contains("not translated at the socket");
        until("what is wrong is told", status, told)?;
        for to in shop.addresses() {
            let answer = until(
                "kube-proxy's rules are used",
                || shop.clients[0].netns.enter(|| tcp(to)),
                |answer| matches!(answer, Ok(Ok(answer)) if answer.name == "b" && answer.from == to),
            );
            answer.map(drop)?;
        }
        Ok(())
    });
}
