//! Many pods, many nodes, many packets: what grows with them, and whom it harms.

mod cluster;
mod flood;
mod pods;
mod support;
