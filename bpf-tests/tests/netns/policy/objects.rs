//! Kubernetes objects as short text. (A namespace called `y` needs its quotes: YAML may read it as a truth value.)

use std::{fmt::Write, net::IpAddr};

/// A Pod object.
#[derive(Debug, Clone)]
pub struct PodObject {
    pub namespace: String,
    pub name: String,
    pub node: String,
    /// As YAML has them: `app: web, tier: front`.
    pub labels: String,
    /// Named ports: `{name: http, containerPort: 80}, …`.
    pub ports: String,
    /// Empty where there is none yet.
    pub phase: &'static str,
    pub terminating: bool,
    pub addresses: Vec<IpAddr>,
}

impl PodObject {
    pub fn yaml(&self) -> String {
        let Self { namespace, name, node, labels, ports, phase, .. } = self;
        let deletion = if self.terminating { ", deletionTimestamp: \"2026-11-22T17:00:00Z\"" } else { "" };
        let addresses: Vec<_> = self.addresses.iter().map(|address| format!("{{ip: \"{address}\"}}")).collect();
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: \"{namespace}\", labels: {{{labels}}}{deletion}}}\n\
             spec: {{nodeName: {node}, containers: [{{name: main, ports: [{ports}]}}]}}\n\
             status: {{phase: {phase}, podIPs: [{}]}}\n",
            addresses.join(", ")
        )
    }
}

/// A NetworkPolicy, by `namespace/name` and its spec in YAML's flow style, without the braces.
pub fn policy(name: &str, spec: &str) -> String {
    let (namespace, name) = parts(name);
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: \"{namespace}\"}}\n\
         spec: {{{spec}}}\n"
    )
}

/// Namespaces, each by its name and labels.
pub fn namespaces(all: &[(&str, &str)]) -> String {
    all.iter().fold(String::new(), |mut text, (name, labels)| {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: \"{name}\", labels: {{kubernetes.io/metadata.name: \"{name}\", {labels}}}}}\n"
        );
        text
    })
}

/// The namespace and the name.
pub fn parts(name: &str) -> (&str, &str) {
    name.split_once('/').expect("namespace/name")
}
