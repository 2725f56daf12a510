//! What the programs and userspace agree on: the maps' keys and values, outcomes and drop reasons, and the packet
//! arithmetic that both sides need. `no_std`; one family of maps a file.
//!
//! Every struct here that a map holds is `repr(C)` with explicit padding. A change of any of them, or of a map's kind
//! or size, is a new [`layout::VERSION`], which `cargo xtask lint` checks.
#![no_std]

#[macro_use]
mod value;

pub mod address;
pub mod capacity;
pub mod endpoint;
pub mod event;
pub mod flow;
pub mod hash;
pub mod layout;
pub mod link;
pub mod mac;
pub mod metric;
pub mod owner;
pub mod path;
pub mod peer;
pub mod policy;
pub mod prefix;
pub mod service;
pub mod settings;
pub mod source;
pub mod sweep;
pub mod vxlan;
pub mod wire;

pub use address::Address;
pub use mac::Mac;
pub use metric::{Drop, Outcome, Program};

#[cfg(feature = "user")]
mod pod;
