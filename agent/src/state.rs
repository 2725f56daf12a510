//! What the reconciler found, for everybody who asks: one writer, whole snapshots.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use ferrule_model::desired::{Desired, NodeEntry};
use ferrule_source::issue::Issue;
use ipnetwork::IpNetwork;

/// The node as of the last reconciliation.
#[derive(Debug, Clone, Default)]
pub struct NodeState {
    /// The source was read and the datapath brought to what it says, once at least.
    pub ready: bool,
    /// Why not ready, in words.
    pub waiting: Option<String>,
    /// Pods' MTU, in bytes.
    pub mtu: u32,
    /// What pods' addresses are leased from.
    pub pod_cidrs: Vec<IpNetwork>,
    /// This node's InternalIPs.
    pub internal_ips: Vec<IpAddr>,
    /// Other nodes: index, name, how they are reached.
    pub nodes: Arc<BTreeMap<u32, (Arc<str>, NodeEntry)>>,
    /// Known pods of other nodes.
    pub remote_pods: usize,
    /// Who puts packets to other nodes' pods into the tunnel, and takes them out, and why.
    pub encapsulation: String,
    /// The node's own devices that carry programs.
    pub devices: Vec<String>,
    /// Its other devices, which lead to no other node, and carry programs all the same.
    pub other_devices: Vec<String>,
    /// Addresses that Pod objects of this node have, with namespace and name.
    pub claimed: Arc<HashMap<IpAddr, (String, String)>>,
    /// What the datapath and the host's routes should be like.
    pub desired: Option<Arc<Desired>>,
    /// When the last round ended, if one ever did.
    pub finished: Option<Instant>,
    /// Rounds that looked at everything.
    pub full_rounds: u64,
    /// What is wrong with objects, files or the configuration.
    pub issues: Vec<Issue>,
    /// What the kernel refused in the last round; each a sentence. Tried again.
    pub errors: Vec<String>,
}

impl NodeState {
    /// All issues in one sentence.
    #[must_use]
    pub fn blame(&self) -> String {
        self.issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}
