//! Why there is no lease.

use std::{io, net::IpAddr, path::PathBuf, sync::Arc};

use ferrule_model::ipam::IpamError;

use super::MacError;

/// Why there is no lease, or no lease database.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another agent has the state directory.
    #[error("another agent (pid {pid}) uses {}; stop it, or give this one another --state-dir", dir.display())]
    InUse {
        /// The state directory.
        dir: PathBuf,
        /// The other agent's process id, as it wrote it down.
        pid: String,
    },
    /// The state directory or a file in it cannot be used.
    #[error("cannot use {}: {source}; check that the directory exists, is writable for root and has room", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The lease file is not what an agent wrote.
    #[error(
        "lease file {} is damaged: {reason}; nothing was changed. Restore it from a backup, or delete this node's pods, \
         move the file away and start the agent again", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The lease file cannot be read or written.
    #[error("cannot write lease file {}: {source}; check the disk and its free space, nothing was leased", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<redb::Error>,
    },
    /// What befell a transaction that several calls shared.
    #[error(transparent)]
    Shared(Arc<LeaseError>),
    /// No address.
    #[error(transparent)]
    Address(#[from] IpamError),
    /// An address that another attachment has.
    #[error(
        "address {address} is leased to container {container_id}; delete that pod first or ask for another address"
    )]
    Taken {
        /// The address.
        address: IpAddr,
        /// Who has it.
        container_id: String,
    },
    /// A delegated IPAM plugin gave no address.
    #[error("the delegated IPAM plugin gave no address; check its configuration")]
    NoDelegated,
    /// The requested MAC cannot be used.
    #[error("mac: {0}")]
    Mac(#[from] MacError),
    /// The attachment exists, with another netns.
    #[error("container {container_id} has {ifname} already, in netns {held} and not {asked}; delete it there first")]
    OtherNetns {
        /// The container.
        container_id: String,
        /// The interface.
        ifname: String,
        /// The netns of its lease.
        held: String,
        /// The netns of the request.
        asked: String,
    },
    /// The attachment exists, with other delegated addresses.
    #[error("container {container_id} has {ifname} already, with other addresses ({}); delete it first", list(held))]
    OtherAddresses {
        /// The container.
        container_id: String,
        /// The interface.
        ifname: String,
        /// The addresses of its lease.
        held: Vec<IpAddr>,
    },
    /// The attachment exists, on another link.
    #[error("container {container_id} has {ifname} already, on the link {held}; delete it first")]
    OtherLink {
        /// The container.
        container_id: String,
        /// The interface.
        ifname: String,
        /// The host side of its lease.
        held: String,
    },
    /// No endpoint index is free.
    #[error(
        "all {capacity} endpoints of this node are in use or were until {rest_s} s ago; this node has room for no more pods: schedule fewer here (kubelet's maxPods)"
    )]
    EndpointsFull {
        /// The highest index.
        capacity: u32,
        /// How long an index rests, in seconds.
        rest_s: u64,
    },
    /// There is no such lease.
    #[error("container {container_id} has no lease for {ifname}; the runtime must ADD it first")]
    Unknown {
        /// The container.
        container_id: String,
        /// The interface.
        ifname: String,
    },
}

impl LeaseError {
    /// The error itself, where several calls share it.
    #[must_use]
    pub fn inner(&self) -> &Self {
        match self {
            Self::Shared(inner) => inner.inner(),
            other => other,
        }
    }
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
