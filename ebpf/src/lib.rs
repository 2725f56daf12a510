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
//! needs an ICMP error. Drops leave through [`count::finish`] with a numbered reason.
#![no_std]
#![expect(clippy::needless_borrows_for_generic_args, reason = "a key or value that is moved is copied to the stack")]
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics), expect(internal_features, reason = "atomic addition"))]

mod arp;
mod arrival;
mod asked;
mod call;
mod clock;
mod conntrack;
mod count;
mod decap;
mod decide;
mod deliver;
mod encap;
mod endpoint;
mod event;
mod foreign;
mod fragment;
mod judge;
mod maps;
mod mark;
mod nd;
mod others;
mod owner;
mod packet;
mod path_mtu;
mod policy;
mod question;
mod quota;
mod recent;
mod related;
mod scope;
mod service;
mod share;
mod socket;
mod stages;
mod standing;
mod stream;
mod sweep;
mod transport;
mod tunnel;
mod verdict;

pub use others::{from_other, to_bare, to_other};
pub use socket::{connect, getpeername, recvmsg, release, sendmsg};
pub use stages::{from_netdev, from_overlay, from_pod, to_netdev, to_overlay, to_pod};
pub use sweep::sweep;
