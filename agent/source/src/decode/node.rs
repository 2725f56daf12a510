//! Nodes.

use std::sync::Arc;

use ferrule_model::objects::Node;

use super::Metadata;
use crate::field::{Field, FieldError};

/// Nodes may be made with this taint, so that no pod comes before the agent
/// (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>).
pub const START_TAINT: &str = "ferrule.dev/agent-not-ready";

pub(super) fn decode(
    name: &Arc<str>,
    metadata: Metadata,
    spec: &Field<'_>,
    status: &Field<'_>,
) -> Result<Node, FieldError> {
    let mut pod_cidrs = spec.get("podCIDRs")?.list()?.iter().map(Field::cidr).collect::<Result<Vec<_>, _>>()?;
    let single = spec.get("podCIDR")?;
    if pod_cidrs.is_empty() && single.is_some() {
        pod_cidrs.push(single.cidr()?);
    }
    let mut internal_ips = Vec::new();
    for address in status.get("addresses")?.list()? {
        if address.get("type")?.text()? == "InternalIP" {
            internal_ips.push(address.get("address")?.address()?);
        }
    }
    let mut start_taint = false;
    for taint in spec.get("taints")?.list()? {
        start_taint |= taint.get("key")?.text()? == START_TAINT;
    }
    let (labels, created) = (metadata.labels, metadata.created);
    Ok(Node { name: Arc::clone(name), labels, created, pod_cidrs, internal_ips, start_taint })
}
