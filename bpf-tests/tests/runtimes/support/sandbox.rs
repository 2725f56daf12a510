//! A pod's sandbox, as the runtime tells of it.

use std::net::IpAddr;

use serde_json::Value;

use super::{node::Node, space::Space};

/// A sandbox that runs.
pub struct Sandbox {
    /// The runtime's, and CNI's container id.
    pub id: String,
    /// In the order in which the runtime reports them.
    pub addresses: Vec<IpAddr>,
    /// Its network, on its machine.
    pub space: Space,
}

impl Sandbox {
    /// What the runtime knows of a sandbox.
    pub fn read(node: &Node, id: String) -> Self {
        let answer = node.cri.status(&id).unwrap_or_else(|error| panic!("the status of {id}: {error}"));
        let network = answer.status.and_then(|status| status.network).unwrap_or_default();
        let texts = [network.ip].into_iter().chain(network.additional_ips.into_iter().map(|more| more.ip));
        let parse = |text: String| text.parse().unwrap_or_else(|error| panic!("address {text:?} of {id}: {error}"));
        let info: Value = serde_json::from_str(answer.info.get("info").map_or("", |text| text)).unwrap_or_default();
        let pid = info["pid"].as_u64().unwrap_or_else(|| panic!("containerd names no process of {id}: {info}"));
        Self { addresses: texts.map(parse).collect(), space: node.machine.space.with_network_of(pid), id }
    }
}
