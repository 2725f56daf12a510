//! What tests and the demo stand on: whole clusters as network namespaces of one machine, and traffic between them.
//!
//! ```text
//!   topology::Cluster ─┬─ Underlay ── a namespace with a bridge or a router, and the world outside
//!                      ├─ Node ────── a namespace, a real agent, a folder, pins of its own
//!                      └─ Pod ─────── a namespace that the real plugin connects
//!   traffic ─ echo servers in namespaces; TCP, UDP and ICMP probes, lasting flows, frames as they are
//! ```
//!
//! Everything needs root, and goes when it is dropped.

pub mod cluster;
pub mod topology;
pub mod traffic;
