//! Whether a packet may pass: [`verdict`] is where a decision begins, and tells its way.

pub mod answer;
pub mod decide;
pub mod evaluate;
pub mod related;
pub mod tables;
pub mod valid;
pub mod verdict;
