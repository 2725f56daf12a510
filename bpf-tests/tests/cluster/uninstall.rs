//! Installed by Helm, and taken off again: nothing stays on any node.

use std::fs;

use anyhow::Result;
use aya::programs::{SchedClassifier, TcAttachType};
use test_kit::{
    cluster::{Cluster, Node, install, process::run},
    topology::Netns,
};

use crate::support::{Space, nodes};

const CONFIG: &str = "etc/cni/net.d/05-ferrule.conflist";
const PLUGIN: &str = "opt/cni/bin/ferrule-cni";

/// Installs by the manifest again, whatever became of the test: the others need it.
struct Restored(Cluster);

impl Drop for Restored {
    fn drop(&mut self) {
        // Of a release that was not taken off.
        let hook = [
            "-n",
            "kube-system",
            "delete",
            "jobs,roles,rolebindings,serviceaccounts",
            "-l",
            "app.kubernetes.io/part-of=ferrule",
        ];
        let _ = self.0.kubectl(&[&hook[..], &["--field-selector=metadata.name=ferrule-uninstall"]].concat());
        let _ = self.0.kubectl(&["-n", "kube-system", "delete", "secrets", "-l", "owner=helm,name=ferrule"]);
        let manifest = fs::read_to_string(install::deployment().1).expect("the manifest");
        install::apply(&self.0, &manifest).expect("the manifest is applied");
        // What lost its network is made anew.
        let _ = self.0.kubectl(&["-n", "kube-system", "delete", "pods", "-l", "k8s-app=kube-dns", "--wait=false"]);
        install::await_ready(&self.0).expect("Ferrule is ready again");
    }
}

/// What of Ferrule a node has, a word for each kind of thing and a line that shows it.
fn found(node: &Node) -> Vec<(&'static str, String)> {
    let root = node.machine.root().expect("a running node");
    let mut found = Vec::new();
    for (what, path) in [("config", CONFIG), ("plugin", PLUGIN)] {
        if root.join(path).exists() {
            found.push((what, path.to_owned()));
        }
    }
    let shown = |line: &str| node.machine.run(line).unwrap_or_else(|error| panic!("{line}: {error:#}"));
    let mut look = |what, text: String, ours: &dyn Fn(&str) -> bool| {
        found.extend(text.lines().find(|line| ours(line)).map(|line| (what, line.trim().to_owned())));
    };
    look("pins", shown("find /sys/fs/bpf"), &|line| line.contains("ferrule"));
    look("links", shown("ip -o link"), &|line| {
        let name = line.split(": ").nth(1).unwrap_or_default();
        ["fr", "fi", "ferrule"].iter().any(|start| name.starts_with(start))
    });
    for line in ["ip route show table all", "ip -6 route show table all"] {
        look("routes", shown(line), &|line| {
            line.contains("encap") || line.contains("unreachable 10.") || line.contains("ferrule")
        });
    }
    look("programs", format!("{}{}", tcx(node), shown("tc filter show dev eth0 ingress")), &|line| {
        line.contains("from_netdev")
    });
    let groups = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .into_iter()
        .find(|path| root.join(&path[1..]).join("cgroup.procs").exists());
    look("socket programs", shown(&format!("bpftool cgroup show {}", groups.expect("control groups"))), &|line| {
        line.contains("connect4") || line.contains("sendmsg4")
    });
    look("state", shown("find /var/lib/ferrule /run/ferrule -not -type d"), &|_| true);
    found
}

/// The programs that take what the node's device receives, where the kernel has TCX.
fn tcx(node: &Node) -> String {
    let netns = Netns::at(node.name(), node.machine.netns().expect("a running node"));
    let asked = netns.enter(|| SchedClassifier::query_tcx("eth0", TcAttachType::Ingress)).expect("a namespace");
    let programs = asked.map(|(_, programs)| programs).unwrap_or_default();
    programs.iter().filter_map(|program| program.name_as_str().map(|name| format!("{name}\n"))).collect()
}

fn kinds(found: &[(&'static str, String)]) -> Vec<&'static str> {
    let mut kinds: Vec<&str> = found.iter().map(|(what, _)| *what).collect();
    kinds.dedup();
    kinds
}

#[test]
fn helm_uninstall_takes_everything_off_every_node() {
    let space = Space::new("uninstall");
    let nodes = nodes();
    space.alone();
    for node in &nodes {
        space.pod(&format!("web-{}", node.name()), node.name(), &[]);
    }
    let restored = Restored(space.cluster.clone());
    let helm = |arguments: &[&str]| -> Result<String> {
        run(space.cluster.control.helm().args(arguments).args([
            "--namespace",
            "kube-system",
            "--wait",
            "--timeout=120s",
        ]))
    };
    // Over what the manifest made.
    let chart = install::deployment().0.display().to_string();
    let values = install::values();
    let line: Vec<&str> = ["install", "ferrule", &chart, "--take-ownership"]
        .into_iter()
        .chain(values.iter().map(String::as_str))
        .collect();
    helm(&line).expect("Helm installs the chart");
    let rolled = "-n kube-system rollout restart daemonset/ferrule";
    space.cluster.kubectl(&rolled.split(' ').collect::<Vec<_>>()).expect("the agents are rolled");
    install::await_ready(&space.cluster).expect("they are ready");
    for node in &nodes {
        let all = ["config", "plugin", "pins", "links", "routes", "programs", "socket programs", "state"];
        assert_eq!(kinds(&found(node)), all, "{}: {:?}", node.name(), found(node));
    }

    helm(&["uninstall", "ferrule"]).unwrap_or_else(|error| {
        let logs = ["-n", "kube-system", "logs", "-l", "app.kubernetes.io/part-of=ferrule", "--prefix"];
        panic!("{error:#}\n{}", space.cluster.kubectl(&logs).unwrap_or_default())
    });
    for node in &nodes {
        assert_eq!(found(node), [], "{}", node.name());
    }
    let kinds = "daemonsets,jobs,pods,configmaps,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings";
    let ours = ["get", kinds, "--all-namespaces", "-l", "app.kubernetes.io/part-of=ferrule", "-o", "name"];
    space.until("no object is left", || {
        let left = space.cluster.kubectl(&ours)?;
        if left.is_empty() { Ok(()) } else { anyhow::bail!("{left}") }
    });
    let path = "jsonpath={.items[*].status.conditions[?(@.reason==\"FerruleIsUp\")].type}";
    assert_eq!(space.cluster.kubectl(&["get", "nodes", "-o", path]).expect("the nodes"), "");
    drop(restored);
    for node in &nodes {
        space.pod(&format!("after-{}", node.name()), node.name(), &[]);
    }
}
