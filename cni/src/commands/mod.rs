//! One file a command. Each validates everything before it touches anything.

mod add;
mod check;
mod context;
mod del;
mod enforce;
mod gc;
mod release;
mod status;
mod version;

pub use context::Context;
use serde_json::Value;
pub use version::answer as version;

use crate::{fault::Fault, spec::env::Call};

/// Runs a command; a result for stdout, where it has one.
///
/// # Errors
/// The command failed; what it had made is undone.
pub fn run(call: &Call, context: &mut Context) -> Result<Option<Value>, Fault> {
    match call {
        Call::Add(target) => add::add(target, context).map(Some),
        Call::Del(id) => del::del(id, context).map(|()| None),
        Call::Check(target) => check::check(target, context).map(|()| None),
        Call::Gc => gc::gc(context).map(|()| None),
        Call::Status => status::status(context).map(|()| None),
        Call::About | Call::Version => Ok(None),
    }
}
