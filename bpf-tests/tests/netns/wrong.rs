//! Objects that are wrong in one field each. While one is there its issue names it, nobody else's traffic is disturbed, and new
//! pods come up; once it is mended nothing tells of it any more.

use anyhow::{Context, ensure};
use serde_json::Value;
use test_kit::topology::{Layout, Node, until};

use crate::{
    lasting::Lasting,
    support::{all_reach_all, ends, within},
};

/// An object with something wrong, and what its issue has to say.
struct Wrong {
    text: String,
    words: &'static [&'static str],
}

fn node(name: &str, spec: &str, addresses: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\nstatus: {{addresses: [{addresses}]}}\n"
    )
}

fn pod(status: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: wrong, namespace: default}}\nspec: {{nodeName: n2}}\n\
         status: {{phase: Running, {status}}}\n"
    )
}

fn policy(spec: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: wrong, namespace: elsewhere}}\n\
         spec: {{{spec}}}\n"
    )
}

fn service(spec: &str) -> String {
    format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: wrong, namespace: default}}\nspec: {{{spec}}}\n")
}

fn slice(kind: &str, endpoints: &str, ports: &str) -> String {
    service("clusterIPs: [\"10.96.0.77\"], ports: [{name: p, port: 80, protocol: TCP}]")
        + &format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: wrong-1, namespace: default, \
             labels: {{kubernetes.io/service-name: wrong}}}}\naddressType: {kind}\nendpoints: [{endpoints}]\n\
             ports: [{ports}]\n"
        )
}

const RIGHT: &str = "{type: InternalIP, address: \"172.30.0.99\"}";

fn wrongs() -> Vec<Wrong> {
    let one = |text: String, words: &'static [&'static str]| Wrong { text, words };
    let ingress =
        |peer: &str, port: &str| policy(&format!("podSelector: {{}}, ingress: [{{from: [{peer}], ports: [{port}]}}]"));
    vec![
        one(node("n9", "podCIDRs: [\"10.244.9.0/33\"]", RIGHT), &["Node n9", "10.244.9.0/33"]),
        one(node("n9", "podCIDRs: [\"10.244.9.7/24\"]", RIGHT), &["Node n9", "10.244.9.7/24"]),
        one(node("n9", "podCIDRs: [\"\"]", RIGHT), &["Node n9", "podCIDRs"]),
        one(node("n9", "podCIDRs: [7]", RIGHT), &["Node n9", "podCIDRs"]),
        one(node("n9", "podCIDRs: [\"127.0.0.0/24\"]", RIGHT), &["Node n9", "127.0.0.0/24"]),
        one(node("n9", "podCIDRs: [\"224.0.0.0/24\"]", RIGHT), &["Node n9", "224.0.0.0/24"]),
        one(node("n9", "podCIDRs: [\"fe80::/64\"]", RIGHT), &["Node n9", "fe80::/64"]),
        one(node("n9", "podCIDRs: [\"::ffff:10.244.9.0/120\"]", RIGHT), &["Node n9", "::ffff:"]),
        one(
            node("n9", "podCIDRs: [\"10.244.9.0/24\"]", "{type: InternalIP, address: \"127.0.0.1\"}"),
            &["Node n9", "127.0.0.1"],
        ),
        one(
            node("n9", "podCIDRs: [\"10.244.9.0/24\"]", "{type: InternalIP, address: \"0.0.0.0\"}"),
            &["Node n9", "0.0.0.0"],
        ),
        one(
            node("n9", "podCIDRs: [\"10.244.9.0/24\"]", "{type: InternalIP, address: \"224.0.0.5\"}"),
            &["Node n9", "224.0.0.5"],
        ),
        one(
            node("n9", "podCIDRs: [\"10.244.9.0/24\"]", "{type: InternalIP, address: \"somewhere\"}"),
            &["Node n9", "somewhere"],
        ),
        one(pod("podIPs: [{ip: \"10.244.2.300\"}]"), &["Pod default/wrong", "10.244.2.300"]),
        one(pod("podIPs: [{ip: \"\"}]"), &["Pod default/wrong", "podIPs"]),
        one(pod("podIPs: [{ip: \"127.0.0.1\"}]"), &["Pod default/wrong", "127.0.0.1"]),
        one(pod("podIPs: [{ip: \"::\"}]"), &["Pod default/wrong", "::"]),
        one(pod("podIPs: [{ip: \"224.0.0.1\"}]"), &["Pod default/wrong", "224.0.0.1"]),
        one(pod("podIPs: {ip: \"10.244.2.9\"}"), &["Pod default/wrong", "podIPs"]),
        one(policy("podSelector: {matchLabels: 7}"), &["NetworkPolicy elsewhere/wrong", "matchLabels"]),
        one(policy("ingress: 7, podSelector: {}"), &["NetworkPolicy elsewhere/wrong", "ingress"]),
        one(policy("podSelector: {}, policyTypes: [Sideways]"), &["NetworkPolicy elsewhere/wrong", "Sideways"]),
        one(
            policy("podSelector: {matchExpressions: [{key: a, operator: Near}]}"),
            &["NetworkPolicy elsewhere/wrong", "Near"],
        ),
        one(ingress("{ipBlock: {cidr: 10.0.0.0/33}}", "{port: 80}"), &["NetworkPolicy elsewhere/wrong", "10.0.0.0/33"]),
        one(
            ingress("{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/8]}}", "{port: 80}"),
            &["NetworkPolicy elsewhere/wrong", "11.0.0.0/8"],
        ),
        one(ingress("{podSelector: {}}", "{port: 70000}"), &["NetworkPolicy elsewhere/wrong", "70000"]),
        one(ingress("{podSelector: {}}", "{port: 80, endPort: 70}"), &["NetworkPolicy elsewhere/wrong", "endPort"]),
        one(ingress("{podSelector: {}}", "{protocol: QUIC}"), &["NetworkPolicy elsewhere/wrong", "QUIC"]),
        one(ingress("{}", "{port: 80}"), &["NetworkPolicy elsewhere/wrong", "from"]),
        one(service("clusterIPs: [\"10.96.0.900\"], ports: [{port: 80}]"), &["Service default/wrong", "10.96.0.900"]),
        one(service("clusterIPs: [\"127.0.0.1\"], ports: [{port: 80}]"), &["Service default/wrong", "127.0.0.1"]),
        one(service("clusterIPs: [\"10.96.0.77\"], ports: [{port: 0}]"), &["Service default/wrong", "port"]),
        one(service("clusterIPs: [\"10.96.0.77\"], ports: [{port: 65536}]"), &["Service default/wrong", "65536"]),
        one(
            service("clusterIPs: [\"10.96.0.77\"], ports: [{port: 80, protocol: ICMP}]"),
            &["Service default/wrong", "ICMP"],
        ),
        one(
            slice("IPv4", "{addresses: [\"nobody\"]}", "{name: p, port: 80}"),
            &["EndpointSlice default/wrong-1", "nobody"],
        ),
        one(
            slice("IPv4", "{addresses: [\"fd00::1\"]}", "{name: p, port: 80}"),
            &["EndpointSlice default/wrong-1", "fd00::1"],
        ),
        one(
            slice("IPv4", "{addresses: [\"127.0.0.1\"]}", "{name: p, port: 80}"),
            &["EndpointSlice default/wrong-1", "127.0.0.1"],
        ),
        one(
            slice("IPv4", "{addresses: [\"10.244.2.9\"]}", "{name: p, port: 70000}"),
            &["EndpointSlice default/wrong-1", "70000"],
        ),
        one(
            slice("IPv5", "{addresses: [\"10.244.2.9\"]}", "{name: p, port: 80}"),
            &["EndpointSlice default/wrong-1", "IPv5"],
        ),
        one("{".to_owned(), &["wrong.yaml"]),
        one("kind: Pod\n".to_owned(), &["wrong.yaml"]),
        one("- 1\n- 2\n".to_owned(), &["wrong.yaml"]),
    ]
}

fn told(node: &Node) -> Vec<String> {
    let status = node.ferrule("status").unwrap_or_default();
    let of = |list: &str| status[list].as_array().cloned().unwrap_or_default();
    of("issues").iter().chain(&of("errors")).filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn each_is_named_harms_nobody_and_is_forgotten_once_mended() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        cluster.publish(&a, n1)?;
        cluster.publish(&b, n2)?;
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        let traffic = Lasting::start(&a, &[&b])?;
        let mut failures = Vec::new();
        for Wrong { text, words } in wrongs() {
            cluster.manifests.write("wrong", &text)?;
            let names = |told: &Vec<String>| told.iter().any(|one| words.iter().all(|word| one.contains(word)));
            if until(&format!("{words:?} of {text}"), || told(n1), names).is_err() {
                failures.push(format!("{text}{words:?}: {:?}", told(n1)));
            }
            cluster.manifests.remove("wrong")?;
            until(&format!("{words:?} to be forgotten"), || told(n1), Vec::is_empty).map(drop)?;
        }
        ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
        // All at once, and a pod comes.
        let all: Vec<String> = wrongs().into_iter().map(|wrong| wrong.text).collect();
        cluster.manifests.write("wrong", &all[..all.len() - 3].concat())?;
        until("something is told", || told(n1), |told| !told.is_empty()).map(drop)?;
        let c = n1.add("c").context("beside objects that are wrong")?;
        cluster.publish(&c, n1)?;
        traffic.ends_undisturbed().context("beside objects that are wrong")?;
        all_reach_all(&ends(cluster, &[&a, &b, &c]))?;
        cluster.manifests.remove("wrong")?;
        until("all to be forgotten", || told(n1), Vec::is_empty).map(drop)
    });
}
