//! The cluster that all tests share, and a namespace of each test's own.

pub mod agent;
pub mod churn;
mod pod;
mod space;
mod static_pod;
mod witness;

use std::time::Duration;

pub use pod::Pod;
pub use space::{Space, ferrule, moment, nodes, refused};
pub use static_pod::StaticPod;
pub use witness::Witness;

/// How long anything may take.
pub const SOON: Duration = Duration::from_secs(60);
