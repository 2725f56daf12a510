//! The datapath: one function for each hook, one file for each stage.
//!
//! ```text
//!             from_pod ──┬─ same node ──────────── redirect_peer ─▶ pod
//!  pod ──veth──▶         ├─ other node ── VXLAN ── to_overlay ────▶ underlay
//!                        ├─ other node ── native ─ to_netdev ─────▶ underlay
//!                        └─ node, outside, errors ────────────────▶ the node's stack ── to_pod ─▶ pod
//!  underlay ─▶ from_netdev ─▶ (VXLAN device) from_overlay ────────▶ pod, or the node's stack
//! ```
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
