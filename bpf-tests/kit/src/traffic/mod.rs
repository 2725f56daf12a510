//! Traffic between namespaces.

mod bulk;
mod echo;
mod flood;
mod flow;
mod frame;
pub mod load;
mod named;
mod ping;
mod probe;
mod sequence;

pub use bulk::transfer;
pub use echo::{Echo, PORT};
pub use flood::Flood;
pub use flow::Flow;
pub use frame::{receive, send, send_all};
pub use named::Named;
pub use ping::{Ping, Pinging};
pub use probe::{Protocol, ask, probe};
pub use sequence::{Sequence, Tally};
