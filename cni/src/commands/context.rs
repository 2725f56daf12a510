//! What a command works with.

use ferrule_api::client::Agent;

use crate::{
    delegate::{Delegate, DelegateError},
    fault::Fault,
    spec::{config::NetConf, version::Version},
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
    pub(super) fn delegate(&self) -> Result<Option<Delegate>, DelegateError> {
        self.conf.ipam.as_deref().map(Delegate::find).transpose()
    }

    /// Refuses a configuration from before the command was specified.
    pub(super) fn require(&self, command: &'static str, since: Version) -> Result<(), Fault> {
        let version = self.conf.version;
        if version < since { Err(Fault::TooOld { command, version, since }) } else { Ok(()) }
    }
}
