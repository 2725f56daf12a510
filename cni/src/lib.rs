//! The CNI plugin, and what it shares with the agent: the API between the two, and the types of the CNI specification.
//!
//! ```text
//! runtime ─ environment, stdin ─► plugin ─► commands ─┬─ delegate ──► IPAM plugin (optional)
//!    ▲                                                ├─ agent ─────► agent: reserve, activate, release, …
//!    └────── stdout: result or error ◄────────────────┴─ wiring ────► netlink, sysctl: the pod's veth
//! ```
#![forbid(unsafe_code)]

pub mod chained;
pub mod commands;
pub mod delegate;
pub mod fault;
pub mod journal;
pub mod note;
pub mod plugin;
pub mod shaper;
pub mod spec;
pub mod stdin;
pub mod wiring;
