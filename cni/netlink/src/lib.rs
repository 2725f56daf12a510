//! rtnetlink without a runtime: one blocking socket that asks and waits for the answer. A socket stays in the network
//! namespace that it was opened in, so that a process can hold one for each side of a veth. Beside it network namespaces
//! by path, and sysctls.
#![forbid(unsafe_code)]

pub mod address;
pub mod link;
pub mod mac;
pub mod neighbour;
pub mod netns;
mod netnsid;
pub mod route;
pub mod rule;
mod socket;
pub mod sysctl;

pub use socket::{Netlink, NetlinkError};
