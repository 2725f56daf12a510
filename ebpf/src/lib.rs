//! The datapath: one function for each hook, one file for each stage.
//!
//! ```text
//!             from_pod ──┬─ same node ──────────── redirect_peer ─▶ pod
//!  pod ──veth──▶         ├─ other node ── VXLAN ── encap, or to_overlay ─▶ to_netdev ─▶ underlay
//!                        ├─ other node ── native ─ to_netdev ─────▶ underlay
//!                        └─ node, outside, errors ────────────────▶ the node's stack ── to_pod ─▶ pod
//!  underlay ─▶ from_netdev ─▶ decap, or (VXLAN device) from_overlay ▶ pod, or the node's stack
//!  other devices ─▶ from_other ─▶ the node's stack ─▶ to_other, to_bare ─▶ other devices
//!  sockets ─▶ connect, sendmsg, recvmsg, getpeername, release: Services
//! ```
//!
//! | folder | what a file in it is for |
//! |---|---|
//! | `hooks` | each hook, in the order of its steps |
//! | `parse` | from bytes to what decisions need |
//! | `context` | what is known of the packet at hand, in a map of each CPU |
//! | `policy` | whether it may pass: begin at `verdict` |
//! | `conntrack` | the connection table and each CPU's flow cache |
//! | `forward` | whose an address is, and how a packet gets there |
//! | `service` | Services at the socket |
//! | `observe` | what is counted and told |
//!
//! Everything that forwards between pods happens here; the node's stack sees what is for the node, for the outside, or
//! needs an ICMP error. Drops leave through [`observe::count::finish`] with a numbered reason.
#![no_std]
#![expect(clippy::needless_borrows_for_generic_args, reason = "a key or value that is moved is copied to the stack")]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics), expect(internal_features, reason = "atomic addition"))]

mod atomic;
mod conntrack;
mod context;
mod forward;
mod hooks;
mod maps;
mod observe;
mod parse;
mod policy;
mod service;

pub use conntrack::gc::sweep;
pub use hooks::{from_netdev, from_other, from_overlay, from_pod, to_bare, to_netdev, to_other, to_overlay, to_pod};
pub use service::socket::{connect, getpeername, recvmsg, release, sendmsg};
