//! Clusters for tests: written as text, and random ones with what happens to them.

mod cluster;
mod events;
pub mod hard;
mod policies;
mod random;
pub mod text;
mod universe;
mod words;

pub use cluster::{Cluster, Event};
pub use random::{Case, Step, cases, generate};
pub use text::{cluster, packet};
