//! The kernel's network configuration, through netlink: the overlay device, routes, neighbours, pods' host sides.
//! Reads and writes; decides nothing.

pub mod bridge;
pub mod cookie;
pub mod filter;
pub mod firewall;
pub mod host_side;
pub mod kube_proxy;
mod legacy_tables;
pub mod limits;
pub mod link;
pub mod namespaces;
pub mod nftables;
pub mod overlay;
pub mod own;
pub mod remover;
pub mod route;
pub mod sockets;
pub mod survey;
pub mod sysctl;
pub mod underlay;
pub mod watch;
pub mod xfrm;

use std::io;

pub use remover::Remover;

/// The `rtm_protocol` of every route that the agent makes, by which it finds them again (`rt_protos` has no name for it).
pub const ROUTE_PROTOCOL: u8 = 0x66;

/// Held while the kernel lists something: it answers EBUSY to a second listing on one socket.
static LISTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A request that the kernel refused.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A netlink request.
    #[error("{what}")]
    Netlink {
        /// What was asked for.
        what: String,
        /// The kernel's answer.
        source: rtnetlink::Error,
    },
    /// A sysctl.
    #[error("{path} could not be set to {value}")]
    Sysctl {
        /// The file.
        path: String,
        /// What it should hold.
        value: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A device that has to be there is not.
    #[error("device {0} does not exist; create it, or name another (--devices)")]
    NoDevice(String),
    /// A device with a pod's name is no veth.
    #[error("device {0} has the name of a pod's link and is no veth; remove it by hand")]
    NotVeth(String),
    /// A device with the name of a pod's ifb is none.
    #[error("device {0} has the name of a pod's ifb and is none; remove it by hand")]
    NotIfb(String),
    /// A device of our name is something else.
    #[error("device {name} exists and is not a VXLAN device with external control; remove it or rename it")]
    ForeignDevice {
        /// The device.
        name: String,
    },
}

impl NetError {
    pub(crate) fn netlink(what: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> Self {
        let what = what.into();
        move |source| Self::Netlink { what, source }
    }

    /// The kernel's error number, positive, where it gave one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Netlink { source, .. } => errno(source),
            Self::Sysctl { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// The kernel's error number, positive.
pub(crate) fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => Some(-message.raw_code()),
        _ => None,
    }
}

/// Opens a netlink connection in this network namespace and serves it in the background.
///
/// # Errors
/// Where the socket cannot be made.
pub fn connect() -> io::Result<rtnetlink::Handle> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    Ok(handle)
}
