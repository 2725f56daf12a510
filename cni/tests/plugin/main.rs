//! The plugin's real binary, in network namespaces of its own, against an agent that the test plays.
//!
//! ```text
//! test ─ spawns ─► ferrule-cni (in the namespace "host") ─► FakeAgent (a thread, unix socket)
//!                     └ veth: host side in "host", the other in "pod"
//! ```
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod add;
mod chain;
mod check;
mod del;
mod duration;
mod enforce;
mod gc;
mod inputs;
mod ipam;
mod killed;
mod queries;
mod support;
mod versions;
