//! What the agent, the plugin and the command line say to each other: JSON over HTTP/1.1 on the agent's unix socket.
//!
//! | module | who says it |
//! |---|---|
//! | [`plugin`] | the CNI plugin: reserve, activate, release, check, gc, status |
//! | [`view`] | operators: what `ferrule -o json` prints |
//! | [`client`] | the client of both |
#![forbid(unsafe_code)]

pub mod chain;
pub mod client;
pub mod plugin;
pub mod view;
