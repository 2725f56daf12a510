//! What operators are shown, as `ferrule -o json` prints it: the agent's answers and the command line's input.

mod event;
mod finding;
mod flow;
mod policy;
mod sample;
mod service;

pub use event::{Event, EventEnd};
pub use finding::{Finding, Severity};
pub use flow::Flow;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
pub use policy::{Changed, Checked, Explained, ExplainedEnd, FlowChange, PodChange, PolicyQuery};
pub use sample::Sample;
use serde::{Deserialize, Serialize};
pub use service::{Backend, Service, ServicePort};

/// `GET`: `"alive"`, or an error where the agent hangs.
pub const ALIVE: &str = "/v1/alive";
/// `GET`: [`Status`].
pub const STATUS: &str = "/v1/status";
/// `GET`: a list of [`Endpoint`].
pub const ENDPOINTS: &str = "/v1/endpoints";
/// `GET`: a list of [`Pod`].
pub const PODS: &str = "/v1/pods";
/// `GET`: a list of [`Node`].
pub const NODES: &str = "/v1/nodes";
/// `GET`: a list of [`Ip`].
pub const IPS: &str = "/v1/ips";
/// `GET`: a list of [`Sample`].
pub const METRICS: &str = "/v1/metrics";

/// `GET`: a list of [`Finding`]; `POST`: the same, after the agent mended what it can.
pub const DOCTOR: &str = "/v1/doctor";

/// `GET`: a list of [`Flow`]; `DELETE`: [`Flushed`], of one `?address=` or of all.
pub const CONNTRACK: &str = "/v1/conntrack";

/// `GET`: lines of [`Event`], for as long as somebody listens; `?allowed=true` for new flows, too.
pub const MONITOR: &str = "/v1/monitor";

/// `GET`: a list of [`Policy`].
pub const POLICIES: &str = "/v1/policies";

/// `GET`: a list of [`Service`]; one, with `?namespace=` and `?name=`.
pub const SERVICES: &str = "/v1/services";

/// `GET`: [`Explained`], for a [`PolicyQuery`] as the query.
pub const EXPLAIN: &str = "/v1/policy/explain";

/// `POST`: [`Checked`], for an object from file names to their text.
pub const CHECK_POLICY: &str = "/v1/policy/check";

/// A NetworkPolicy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// `namespace/name`.
    pub name: String,
    /// How many ingress rules it has, where it isolates in that direction.
    pub ingress: Option<usize>,
    /// How many egress rules it has, where it isolates in that direction.
    pub egress: Option<usize>,
    /// The pods of this node that it selects.
    pub pods: Vec<String>,
    /// What of it is not in force.
    pub issues: Vec<String>,
}

/// How many flows went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flushed {
    /// Flows.
    pub removed: u64,
}

/// The path of a map: `GET` gives a list of objects, column to value.
#[must_use]
pub fn map(name: &str) -> String {
    format!("/v1/maps/{}", encoded(name))
}

/// The path of a Service.
#[must_use]
pub fn service(namespace: &str, name: &str) -> String {
    format!("{SERVICES}?namespace={}&name={}", encoded(namespace), encoded(name))
}

/// What somebody typed, as a part of a path or a query (RFC 3986 section 2).
#[must_use]
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Where Kubernetes objects come from, and how that stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// `kubernetes` or `files`.
    pub kind: String,
    /// All of it was read once.
    pub synced: bool,
    /// Seconds since the API server answered last; none where it never did, or is not the source.
    #[serde(default)]
    pub last_answer_seconds: Option<u64>,
    /// When the objects were last brought up to date by what the API server said, as RFC 3339 has it.
    #[serde(default)]
    pub last_sync: Option<String>,
    /// What does not work, a sentence each; what was read last stands.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// The node in a few lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// The node's name.
    pub node: String,
    /// Pods can be added.
    pub ready: bool,
    /// Why not.
    pub waiting: Option<String>,
    /// Where objects come from.
    #[serde(default)]
    pub source: Source,
    /// `vxlan` or `native`.
    pub routing: String,
    /// Who puts packets to other nodes' pods into the tunnel, and takes them out, and why.
    #[serde(default)]
    pub encapsulation: String,
    /// Pods' MTU, in bytes.
    pub mtu: u32,
    /// What pods' addresses are leased from.
    pub pod_cidrs: Vec<String>,
    /// This node's InternalIPs.
    pub internal_ips: Vec<String>,
    /// The node's own devices that carry programs.
    pub devices: Vec<String>,
    /// Its other devices, which lead to no other node, and carry programs all the same.
    #[serde(default)]
    pub other_devices: Vec<String>,
    /// Pods of this node.
    pub endpoints: usize,
    /// Addresses leased.
    pub leased: usize,
    /// Released addresses that are not leased again yet.
    pub resting: usize,
    /// Other nodes.
    pub nodes: usize,
    /// Known pods of other nodes.
    pub remote_pods: usize,
    /// NetworkPolicies that there are.
    #[serde(default)]
    pub policies: usize,
    /// Tables that they are compiled to here.
    #[serde(default)]
    pub policy_tables: usize,
    /// Services that this node serves.
    #[serde(default)]
    pub services: usize,
    /// Their ports, by address.
    #[serde(default)]
    pub service_ports: usize,
    /// The cgroup whose processes reach them; none where they are not translated at the socket.
    #[serde(default)]
    pub service_cgroup: Option<String>,
    /// kube-proxy translates what no socket program saw.
    #[serde(default)]
    pub kube_proxy: bool,
    /// Flows of this node's pods.
    #[serde(default)]
    pub flows: u64,
    /// Flows that the connection table has room for.
    #[serde(default)]
    pub flows_at_most: u32,
    /// What is wrong with objects, files or the configuration.
    pub issues: Vec<String>,
    /// What the kernel refused; tried again.
    pub errors: Vec<String>,
}

/// A pod of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The endpoint's index in the maps.
    pub index: u32,
    /// `namespace/name`, where the runtime named a pod.
    pub pod: Option<String>,
    /// The pod's namespace, where the runtime named a pod.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The pod's name, where the runtime named a pod.
    #[serde(default)]
    pub name: Option<String>,
    /// This node's name.
    #[serde(default)]
    pub node: String,
    /// CNI's container id.
    pub container_id: String,
    /// The interface in the pod.
    pub ifname: String,
    /// The host side of the veth.
    pub host_ifname: String,
    /// Its interface index; 0 before the endpoint is active.
    pub ifindex: u32,
    /// IPv4 first.
    pub addresses: Vec<String>,
    /// The MAC of the pod's side.
    pub mac: String,
    /// The MTU, in bytes.
    pub mtu: u32,
    /// `active`, or `reserved` between reserve and activate.
    pub state: String,
    /// The pod's network namespace.
    pub netns: String,
    /// Another plugin made the link and delivers its packets; policies are enforced there, and nothing else is done.
    #[serde(default)]
    pub enforce_only: bool,
}

/// A pod of any node, as its object and its node's agent say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `spec.nodeName`.
    pub node: Option<String>,
    /// In its object's order.
    pub addresses: Vec<String>,
    /// Its node's agent announces the addresses, which its kubelet has not posted yet.
    pub announced: bool,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// The node's index in the maps.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `vxlan` or `native`.
    pub forwarding: String,
    /// The outer destination.
    pub tunnel: Option<String>,
    /// The outer source; nothing where the kernel chooses it.
    #[serde(default)]
    pub source: Option<String>,
    /// The device and the next hop by which programs send the tunnel's packets; nothing where the overlay device does.
    #[serde(default)]
    pub uplink: Option<String>,
    /// The next hops, with native routing.
    pub next_hops: Vec<String>,
    /// Its InternalIPs.
    pub internal_ips: Vec<String>,
    /// The largest layer 3 packet that fits, in bytes.
    pub mtu: u32,
}

/// An address of this node's pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ip {
    /// The address.
    pub address: String,
    /// Who has it, where the runtime named a pod.
    pub pod: Option<String>,
    /// CNI's container id.
    pub container_id: String,
    /// `pool`, or `delegated` to another IPAM plugin.
    pub source: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_stays_one_value() {
        assert_eq!(service("shop", "a b&c#d"), "/v1/services?namespace=shop&name=a%20b%26c%23d");
        assert_eq!(map("fr_peers"), "/v1/maps/fr%5Fpeers");
    }
}
