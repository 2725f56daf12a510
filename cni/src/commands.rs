//! One file a command. Each validates everything before it touches anything.

mod add;
mod check;
mod del;
mod enforce;
mod gc;
mod release;
mod status;
mod version;

use ferrule_api::client::Agent;
use serde_json::Value;
pub use version::answer as version;

use crate::{
    delegate::{Delegate, DelegateError},
    fault::Fault,
    spec::{config::NetConf, env::Call, version::Version},
};

/// What a command works with.
#[derive(Debug)]
pub struct Context {
    /// The network configuration.
    pub conf: NetConf,
    /// The agent that it names.
    pub agent: Agent,
    /// What went wrong and does not fail the call; for the log.
    pub notes: Vec<String>,
}

impl Context {
    /// For one call.
    #[must_use]
    pub fn new(conf: NetConf) -> Self {
        let agent = Agent::at(&conf.agent_socket);
        Self { conf, agent, notes: Vec::new() }
    }

    /// The delegated IPAM plugin, where the configuration names one.
    fn delegate(&self) -> Result<Option<Delegate>, DelegateError> {
        self.conf.ipam.as_deref().map(Delegate::find).transpose()
    }

    fn require(&self, command: &'static str, since: Version) -> Result<(), Fault> {
        let version = self.conf.version;
        if version < since { Err(Fault::TooOld { command, version, since }) } else { Ok(()) }
    }
}

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
