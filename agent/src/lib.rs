//! The node agent.
//!
//! ```text
//! source (API server or files) ──▶ store ──▶ model (desired, plan) ──▶ reconcile ──▶ bpf maps, kernel routes, devices
//!                                   ▲
//! CNI plugin ──▶ api ──▶ attachment ┴──▶ lease, bpf maps, attach
//! ```

pub mod allocator;
pub mod api;
pub mod apply;
pub mod attachment;
pub mod cleanup;
pub mod cluster;
pub mod config;
pub mod controllers;
pub mod descriptors;
pub mod doctor;
pub mod encapsulation;
pub mod explain;
pub mod flows;
pub mod install;
pub mod lease;
#[cfg(test)]
mod manual;
pub mod monitor;
pub mod path_mtu;
pub mod policy;
pub mod preflight;
pub mod reconcile;
pub mod run;
pub mod say;
pub mod services;
pub mod state;
pub mod uninstall;
