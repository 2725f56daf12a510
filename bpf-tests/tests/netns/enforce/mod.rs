//! Chained behind Debian's `bridge` and `ptp`: they make the link and deliver, we enforce.

mod delivery;
mod ends;
mod policy;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_kit::topology::{Invocation, Netns, Node, Pod, run};

/// Who makes the link.
#[derive(Debug, Clone, Copy)]
pub enum Maker {
    Bridge,
    Ptp,
}

impl Maker {
    /// Its part of the list. Addresses are of the node's pod CIDRs, so that nodes have routes to each other's pods.
    fn config(self, node: &Node) -> Value {
        let ranges: Vec<_> = node.pod_cidrs.iter().map(|cidr| json!([{"subnet": cidr}])).collect();
        let routes = json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]);
        let data = node.folder().join("networks");
        let ipam = json!({"type": "host-local", "ranges": ranges, "routes": routes, "dataDir": data});
        let mut config = json!({"cniVersion": "1.0.0", "name": "ferrule", "ipMasq": false, "ipam": ipam});
        match self {
            Self::Bridge => {
                config["type"] = "bridge".into();
                config["bridge"] = "cni0".into();
                config["isGateway"] = true.into();
            }
            Self::Ptp => config["type"] = "ptp".into(),
        }
        config
    }

    fn call(self, command: &str, node: &Node, name: &str, netns: &Path) -> Result<Invocation> {
        let config = self.config(node);
        let plugin = Path::new("/usr/lib/cni").join(config["type"].as_str().unwrap_or_default());
        ensure!(plugin.is_file(), "{} is not there; install the package containernetworking-plugins", plugin.display());
        let call = Invocation::new(command, name, netns, &node.socket());
        Ok(Invocation { config, plugin: Some(plugin), ..call })
    }

    /// ADD of the whole list.
    pub fn add(self, node: &Node, name: &str) -> Result<Pod> {
        let prefix = node.netns.name().split('-').next().unwrap_or_default();
        let netns = Netns::new(&format!("{prefix}-{name}"))?;
        // A bridge and a pod have long had their addresses when a test asks: detection would take a second.
        for side in [&node.netns, &netns] {
            side.sysctl("ipv6/conf/default/accept_dad", "0")?;
        }
        let made = self.call("ADD", node, name, &netns.path())?.run(&node.netns)?;
        let result = ours("ADD", node, name, &netns.path()).with("prevResult", made.clone()).run(&node.netns)?;
        ensure!(result == made, "the result is passed on as it came:\n{made:#}\n{result:#}");
        Pod::new(name, netns, result)
    }

    /// DEL of its own.
    pub fn del(self, node: &Node, pod: &Pod) -> Result<()> {
        let call = self.call("DEL", node, &pod.name, &pod.netns.path())?;
        call.with("prevResult", pod.result.clone()).run(&node.netns).map(drop)
    }
}

fn ours(command: &str, node: &Node, name: &str, netns: &Path) -> Invocation {
    node.invocation(command, name, netns).with("cniVersion", "1.0.0".into())
}

/// Our CHECK.
pub fn check(node: &Node, pod: &Pod) -> Result<()> {
    let call = ours("CHECK", node, &pod.name, &pod.netns.path()).with("prevResult", pod.result.clone());
    call.run(&node.netns).map(drop)
}

/// Our DEL.
pub fn del(node: &Node, pod: &Pod) -> Result<()> {
    let call = ours("DEL", node, &pod.name, &pod.netns.path()).with("prevResult", pod.result.clone());
    call.run(&node.netns).map(drop)
}

/// The host side's name, as the other plugin reported it.
pub fn link(pod: &Pod) -> Result<String> {
    let interfaces = pod.result["interfaces"].as_array().context("ADD named no interfaces")?;
    let names = interfaces.iter().filter_map(|interface| interface["name"].as_str());
    Ok(names.into_iter().find(|name| name.starts_with("veth")).context("no host side")?.to_owned())
}

/// The filters of both hooks of a link, as `tc` shows them.
pub fn filters(node: &Node, link: &str) -> Result<String> {
    let show = |hook| run(node.netns.command("tc").args(["filter", "show", "dev", link, hook]));
    Ok(show("ingress")? + &show("egress")?)
}

/// That nothing of ours is on the node: filters, map entries, leases, pins.
pub fn nothing_is_left(node: &Node, link: &str) -> Result<()> {
    if node.netns.links()?.iter().any(|name| name == link) {
        let found = filters(node, link)?;
        ensure!(!found.contains("_pod"), "{found}");
    }
    for map in ["fr_endpoints", "fr_links"] {
        let entries = node.ferrule(&format!("map dump {map}"))?;
        ensure!(entries.as_array().is_some_and(Vec::is_empty), "{map}: {entries}");
    }
    let endpoints = node.ferrule("endpoint list")?;
    ensure!(endpoints.as_array().is_some_and(Vec::is_empty), "{endpoints}");
    let pins = std::fs::read_dir(node.pins().join("links")).into_iter().flatten().flatten();
    for pin in pins.filter(|pin| pin.file_name().to_string_lossy().contains("veth")) {
        // What stays there is a device as any other, until the other plugin removes it.
        let program = pinned(&pin.path())?;
        ensure!(program.ends_with("_other"), "{}: {program}", pin.path().display());
    }
    Ok(())
}

/// The name of the program that a pinned link runs.
fn pinned(link: &std::path::Path) -> Result<String> {
    let ask = |words: &[&str]| -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&run(std::process::Command::new("bpftool").arg("-j").args(words))?)?)
    };
    let link = ask(&["link", "show", "pinned", &link.display().to_string()])?;
    let program = link["prog_id"].to_string();
    let program = ask(&["prog", "show", "id", &program])?;
    Ok(program["name"].as_str().unwrap_or_default().to_owned())
}
