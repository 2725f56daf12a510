//! From bytes to what decisions need.

pub mod message;
pub mod packet;
pub mod scope;
pub mod transport;
