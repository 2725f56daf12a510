//! Services at the socket.

pub mod call;
pub mod choose;
pub mod connected;
pub mod cookie;
pub mod share;
pub mod socket;
pub mod unconnected;
