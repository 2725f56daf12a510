//! Each hook, in the order of its steps.

mod carried;
mod device;
mod netdev;
mod others;
mod overlay;
mod pod;

pub use netdev::{from_netdev, to_netdev};
pub use others::{from_other, to_bare, to_other};
pub use overlay::{from_overlay, to_overlay};
pub use pod::{from_pod, to_pod};
