//! What this node has, and what that means: asked by `ferrule-agent preflight`, and by every start of the agent before it
//! changes anything.
//!
//! ```text
//!   kernel ─────┐
//!   host ───────┼──▶ Check: what, found, verdict, meaning ──▶ table or JSON, or the agent's refusal to start
//!   datapath ───┤
//!   devices ────┘ (in a network namespace that goes with the thread that made it)
//! ```
//! Where it is cheap a thing is tried rather than taken from the kernel's version: distributions carry features back.
//! Nothing on the node changes, but that a missing module is loaded, as the agent's start would do.

mod check;
mod datapath;
mod depth;
mod devices;
mod host;
mod kernel;
mod mtu;
mod services;
mod wire;

pub use check::{Check, Verdict, refusal, table};
pub use depth::Depth;

use crate::config::Config;

/// Runs every check. Blocks.
#[must_use]
pub fn run(config: &Config, depth: Depth) -> Vec<Check> {
    let mut checks = vec![kernel::release(), kernel::architecture()];
    checks.extend([host::privileges(), host::bpffs(&config.bpffs), kernel::btf()]);
    checks.extend(host::memlock());
    checks.extend(datapath::all(config));
    checks.extend(devices::all(config, depth));
    checks.extend(host::sysctls());
    checks.extend(services::all(&config.services));
    checks.push(host::way_out());
    checks.push(mtu::check(config));
    checks.extend(wire::all(config));
    checks
}
