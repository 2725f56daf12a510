//! The cluster that all tests share, and a namespace of each test's own.

mod pod;
mod space;

pub use pod::Pod;
pub use space::{Space, ferrule, moment, nodes, refused};

use std::time::Duration;

/// How long anything may take.
pub const SOON: Duration = Duration::from_secs(60);
