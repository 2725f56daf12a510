//! The connection table: its entries, who may have how many, what is remembered of them, how they go.

pub mod age;
pub mod cache;
pub mod cached;
pub mod fragment;
pub mod gc;
pub mod quota;
pub mod table;
