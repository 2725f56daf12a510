//! All that desired state depends on.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Lasting, NodeEntry, Settings, Underlay};
use crate::objects::{Map, Objects};

/// An attachment of this node, from its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalEndpoint {
    /// CNI's container id.
    pub container_id: String,
    /// The leased addresses.
    pub addresses: Vec<IpAddr>,
}

/// All that desired state depends on.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The objects of this moment, from a source that is synced, as a [`super::Screen`] let them pass.
    pub objects: &'a Objects,
    /// The name of the node that the agent runs on.
    pub node_name: &'a str,
    /// This node's leases. Their addresses are never peers.
    pub endpoints: &'a [LocalEndpoint],
    /// What the operator configured.
    pub settings: &'a Settings,
    /// What the kernel says about the ways to other nodes.
    pub underlay: &'a Underlay,
    /// The node entries that are in the map now: a node that did not change keeps its index.
    pub observed: &'a Map<u32, NodeEntry>,
    /// Indices that were removed lately, and that packets on their way may still name.
    pub resting: &'a BTreeSet<u32>,
    /// InternalIPs that came or went a moment ago.
    pub lasting: &'a Lasting,
}
