//! The node agent.
//!
//! ```text
//! source (files) ──▶ store ──▶ model (desired, plan) ──▶ reconcile ──▶ bpf maps, kernel routes, devices
//!                                   ▲
//! CNI plugin ──▶ api ──▶ attachment ┴──▶ lease, bpf maps, attach
//! ```

pub mod bpf;
pub mod config;
pub mod lease;
pub mod net;
pub mod source;
pub mod store;
