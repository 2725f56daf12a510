//! What is counted and told.

pub mod count;
pub mod event;
