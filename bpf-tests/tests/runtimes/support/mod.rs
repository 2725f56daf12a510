//! Machines with runtimes on them, and what tests ask of them.

pub mod cri;
pub mod lab;
pub mod machine;
pub mod node;
pub mod probe;
pub mod programs;
pub mod sandbox;
pub mod settings;
pub mod space;
pub mod tool;
pub mod underlay;
