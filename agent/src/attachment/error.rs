//! Why an attachment cannot be made, checked or removed, and which CNI code says so.

use std::{path::PathBuf, sync::Arc};

use ferrule_api::{
    chain::chain,
    plugin::{ApiError, code},
};
use ferrule_kernel::{bpf::AttachError, net::NetError};
use ferrule_model::desired::MtuTooSmall;

use crate::{lease::LeaseError, policy::PolicyError};

/// See the variants.
#[derive(Debug, thiserror::Error)]
pub enum AttachmentError {
    /// The node is not ready.
    #[error("this node is not ready for pods: {0}; `ferrule status` tells more")]
    NotReady(String),
    /// The pod's object, or its namespace, has not come.
    #[error(
        "the source of Kubernetes objects does not have {missing} after {seconds} s, so that the pod's policies are not \
         known; `ferrule status` tells whether the source is read"
    )]
    NoObject {
        /// Kind and name.
        missing: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The node has nothing to lease from.
    #[error(
        "this node has no podCIDR: set spec.podCIDRs of its Node object, or give the CNI configuration an `ipam` section"
    )]
    NoPodCidr,
    /// Pods' MTU is too small for the addresses that the pod is to have.
    #[error(transparent)]
    Mtu(#[from] MtuTooSmall),
    /// The chained plugin that sets limits has no room beside the programs.
    #[error(
        "runtimeConfig.bandwidth: {} chains the plugin `bandwidth`, whose `ingress` qdisc excludes the clsact that pods' \
         programs need without TCX ({without}); take `bandwidth` out of its plugins: the agent then sets the limits \
         itself",
        file.display()
    )]
    Chained {
        /// The configuration list.
        file: PathBuf,
        /// Why there is no TCX.
        without: &'static str,
    },
    /// The plugin does not say what the limits are.
    #[error(
        "runtimeConfig.bandwidth: the ferrule-cni that asks is older than this agent and does not tell the limits, which \
         the agent has to set itself without TCX; install the agent's own ferrule-cni"
    )]
    NoLimits,
    /// The lease.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The plugin's veth is not there.
    #[error("the link {name} is not there; the plugin makes it before it asks to activate it")]
    NoLink {
        /// The host side.
        name: String,
    },
    /// Another plugin's link is of a kind whose packets the programs do not see.
    #[error("the link {name} is no veth; policies are enforced on the host side of a veth only")]
    NotVeth {
        /// The host side.
        name: String,
    },
    /// The link, its routes or neighbours.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The programs.
    #[error(transparent)]
    Attach(Box<AttachError>),
    /// The maps.
    #[error("the pod's map entries could not be written or removed; a full map takes no more entries")]
    Map {
        /// The kernel's answer.
        source: aya::maps::MapError,
    },
    /// The pod's policies.
    #[error(transparent)]
    Policy(Arc<PolicyError>),
    /// CHECK found these.
    #[error("{}; delete the pod, so that it is made anew", .0.join("; "))]
    Damaged(Vec<String>),
}

impl From<AttachError> for AttachmentError {
    fn from(error: AttachError) -> Self {
        Self::Attach(Box::new(error))
    }
}

impl From<PolicyError> for AttachmentError {
    fn from(error: PolicyError) -> Self {
        Self::Policy(Arc::new(error))
    }
}

impl From<Arc<PolicyError>> for AttachmentError {
    fn from(error: Arc<PolicyError>) -> Self {
        Self::Policy(error)
    }
}

impl From<&AttachmentError> for ApiError {
    fn from(error: &AttachmentError) -> Self {
        let code = match error {
            AttachmentError::NotReady(_) | AttachmentError::NoObject { .. } => code::TRY_AGAIN,
            AttachmentError::Policy(error) if matches!(**error, PolicyError::Unread) => code::TRY_AGAIN,
            AttachmentError::NoPodCidr | AttachmentError::Mtu(_) => code::ADDRESSES,
            AttachmentError::Chained { .. } | AttachmentError::NoLimits | AttachmentError::NotVeth { .. } => {
                code::INVALID
            }
            AttachmentError::Lease(error) => match error.inner() {
                LeaseError::Address(_) | LeaseError::Taken { .. } | LeaseError::NoDelegated => code::ADDRESSES,
                LeaseError::Mac(_) => code::INVALID,
                LeaseError::OtherNetns { .. } | LeaseError::OtherAddresses { .. } | LeaseError::OtherLink { .. } => {
                    code::EXISTS
                }
                LeaseError::Unknown { .. } => code::UNKNOWN_CONTAINER,
                _ => code::INTERNAL,
            },
            AttachmentError::NoLink { .. }
            | AttachmentError::Net(_)
            | AttachmentError::Attach(_)
            | AttachmentError::Policy(_)
            | AttachmentError::Map { .. } => code::KERNEL,
            AttachmentError::Damaged(_) => code::DAMAGED,
        };
        let (msg, all) = (error.to_string(), chain(error));
        let details = all.strip_prefix(&msg).unwrap_or(&all).trim_start_matches(": ").to_owned();
        Self { code, msg, details }
    }
}
