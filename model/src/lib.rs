//! Ferrule's pure logic: data in, data out. No files, sockets, clocks or async runtime; time is passed in.
//!
//! ```text
//! objects ──▶ desired ──▶ plan ──▶ (the agent writes maps and routes)
//!    node's pod CIDRs ──▶ ipam ──▶ (the agent writes leases)
//! objects, a packet ──▶ oracle: would it pass, and which rule says so?
//! Services, slices ──▶ service: which backends each port has here, in steps that the agent writes
//! ```

#![forbid(unsafe_code)]

pub mod cidr;
pub mod desired;
pub mod found;
pub mod ipam;
pub mod objects;
pub mod oracle;
pub mod plan;
pub mod policy;
pub mod selector;
pub mod service;
pub mod tenants;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
