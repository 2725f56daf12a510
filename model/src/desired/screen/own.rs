//! What a screen knows beside objects.

use std::{collections::BTreeSet, net::IpAddr};

use super::Ranges;

/// What a screen knows beside objects.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// The name of the node that the agent runs on.
    pub node_name: String,
    /// What the operator says about addresses.
    pub ranges: Ranges,
    /// Addresses that were leased here when the agent started: the pod CIDRs that hold them are this node's.
    pub leased: BTreeSet<IpAddr>,
}
