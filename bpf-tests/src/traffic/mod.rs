//! Traffic between namespaces.

mod bulk;
mod echo;
mod flow;
mod frame;
pub mod load;
mod ping;
mod probe;

pub use bulk::transfer;
pub use echo::{Echo, PORT};
pub use flow::Flow;
pub use frame::{receive, send};
pub use ping::{Ping, Pinging};
pub use probe::{Protocol, probe};
