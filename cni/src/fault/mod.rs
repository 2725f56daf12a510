//! All that a call can end with, and the code that each has.

mod answer;
mod chained;

use std::io;

pub use answer::AnswerError;
pub use chained::ChainedError;
use ferrule_api::{client::AgentError, plugin::code as ours};
use ferrule_netlink::{NetlinkError, netns::NetnsError, sysctl::SysctlError};

use crate::{
    delegate::DelegateError,
    note::NoteError,
    spec::{config::ConfigError, env::EnvError, error::code, fields::FieldError, version::Version},
};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The environment is wrong.
    #[error(transparent)]
    Environment(#[from] EnvError),
    /// Stdin cannot be read.
    #[error("the network configuration cannot be read from stdin")]
    Stdin(#[source] io::Error),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `prevResult` cannot be read.
    #[error(transparent)]
    PrevResult(FieldError),
    /// The command came later than the configuration's version.
    #[error("{command} needs cniVersion {} or later, and the configuration says {}", since.as_str(), version.as_str())]
    TooOld {
        /// The command.
        command: &'static str,
        /// The configuration's version.
        version: Version,
        /// The command's first version.
        since: Version,
    },
    /// The command needs a field.
    #[error("{command} needs {field} in the network configuration")]
    Needs {
        /// The command.
        command: &'static str,
        /// The field.
        field: &'static str,
    },
    /// The network namespace is none for a container.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The container has such an interface.
    #[error("the container has an interface {ifname} already (netns {netns}); it is left as it is")]
    IfnameTaken {
        /// `CNI_IFNAME`.
        ifname: String,
        /// `CNI_NETNS`.
        netns: String,
    },
    /// Another plugin of the chain made the interface, and policies cannot be enforced on it.
    #[error(transparent)]
    Chained(#[from] ChainedError),
    /// The agent does not serve it.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The agent's answer cannot be used.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The IPAM plugin does not serve it.
    #[error(transparent)]
    Delegate(#[from] DelegateError),
    /// The kernel does not serve it.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A setting cannot be written.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// The interface that was just made is gone.
    #[error("the interface {name} was made and is gone; something else removes interfaces on this node")]
    Vanished {
        /// Its name.
        name: String,
    },
    /// Neither the agent nor a note learned of a release.
    #[error("the agent is away, and no release note can be left for it: {note}")]
    Unreleased {
        /// Why there is no note.
        note: NoteError,
        /// Why the agent is away.
        #[source]
        agent: AgentError,
    },
    /// CHECK found damage.
    #[error("{ifname} is damaged: {}; delete the pod, so that it is made anew", damage.join("; "))]
    Damaged {
        /// `CNI_IFNAME`.
        ifname: String,
        /// All that is wrong.
        damage: Vec<String>,
    },
    /// GC went on past these.
    #[error("GC went on past errors: {}", errors.join("; "))]
    Garbage {
        /// A sentence each.
        errors: Vec<String>,
    },
    /// STATUS: ADD cannot be served.
    #[error("{0}")]
    NotAvailable(String),
    /// STATUS: nor do existing pods have all their connectivity.
    #[error("{0}")]
    LimitedConnectivity(String),
}

impl Fault {
    /// The CNI code.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::TooOld { .. } | Self::Config(ConfigError::Version(_)) => code::INCOMPATIBLE_VERSION,
            Self::Chained(error) => chained(error),
            Self::Environment(_) => code::ENVIRONMENT,
            Self::Stdin(_) => code::IO,
            Self::Config(ConfigError::Json(_)) | Self::PrevResult(_) => code::DECODING,
            Self::Config(_) | Self::Needs { .. } => code::INVALID_CONFIG,
            Self::Netns(NetnsError::Enter { .. } | NetnsError::Netlink(_)) => ours::KERNEL,
            Self::Netns(_) => code::INVALID_NETNS,
            Self::IfnameTaken { .. } => ours::EXISTS,
            Self::Agent(error) => agent(error),
            Self::Delegate(error) => delegate(error),
            Self::Netlink(_) | Self::Sysctl(_) | Self::Vanished { .. } => ours::KERNEL,
            Self::Unreleased { .. } => code::TRY_AGAIN,
            Self::Damaged { .. } => ours::DAMAGED,
            Self::Answer(_) | Self::Garbage { .. } => ours::INTERNAL,
            Self::NotAvailable(_) => code::NOT_AVAILABLE,
            Self::LimitedConnectivity(_) => code::LIMITED_CONNECTIVITY,
        }
    }

    /// What to say beyond the chain of causes: what another program said of its own error.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        let said = match self {
            Self::Agent(AgentError::Refused(refusal)) => &refusal.details,
            Self::Delegate(DelegateError::Failed { said, .. }) => &said.details,
            _ => return None,
        };
        Some(said.as_str()).filter(|said| !said.is_empty())
    }
}

fn chained(error: &ChainedError) -> u32 {
    match error {
        ChainedError::Kind { .. } | ChainedError::NoAddress { .. } => code::UNSUPPORTED_FIELD,
        ChainedError::Ipam { .. } => code::INVALID_CONFIG,
        ChainedError::Missing { .. } | ChainedError::Elsewhere { .. } => ours::KERNEL,
        ChainedError::OlderAgent => ours::INTERNAL,
    }
}

fn agent(error: &AgentError) -> u32 {
    match error {
        AgentError::Away { .. } | AgentError::Forbidden { .. } | AgentError::Silent { .. } => code::TRY_AGAIN,
        AgentError::NoSocket { .. } => code::INVALID_CONFIG,
        AgentError::Garbled { .. } => ours::INTERNAL,
        AgentError::Refused(refusal) => refusal.code,
    }
}

fn delegate(error: &DelegateError) -> u32 {
    match error {
        DelegateError::Missing { .. } => code::INVALID_CONFIG,
        DelegateError::Slow { .. } => code::TRY_AGAIN,
        DelegateError::Failed { said, .. } => said.code,
        DelegateError::NoAddress { .. } => ours::ADDRESSES,
        DelegateError::Run { .. } | DelegateError::Broken { .. } | DelegateError::Result { .. } => ours::INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use ferrule_api::plugin::ApiError;

    use super::*;
    use crate::spec::{error::CniError, version::UnsupportedVersion};

    fn check(fault: impl Into<Fault>, expected: u32) {
        let fault = fault.into();
        assert_eq!(fault.code(), expected, "{fault}");
    }

    fn io() -> io::Error {
        io::ErrorKind::Other.into()
    }

    #[test]
    fn what_the_caller_did_wrong_has_the_specs_codes() {
        check(ConfigError::Version(UnsupportedVersion { requested: Some("9".into()) }), 1);
        check(Fault::TooOld { command: "GC", version: Version::V1_0_0, since: Version::V1_1_0 }, 1);
        check(ChainedError::Kind { ifname: "eth0".into(), netns: "/n".into(), kind: "macvlan".into() }, 2);
        check(EnvError::UnknownCommand("X".into()), 4);
        check(Fault::Stdin(io()), 5);
        check(ConfigError::Json(serde_json::from_str::<u8>("{").unwrap_err()), 6);
        check(ConfigError::Name(String::new()), 7);
        check(ConfigError::IpamType, 7);
        check(Fault::Needs { command: "CHECK", field: "prevResult" }, 7);
        check(NetnsError::Own { path: "/n".into() }, 8);
        check(NetnsError::Other { path: "/n".into() }, 8);
        check(NetnsError::Open { path: "/n".into(), source: io() }, 8);
    }

    #[test]
    fn what_may_pass_says_try_again() {
        check(AgentError::Away { socket: "/s".into(), source: io() }, 11);
        check(AgentError::Silent { socket: "/s".into(), path: "/v1", limit: std::time::Duration::ZERO }, 11);
        check(DelegateError::Slow { path: "/p".into() }, 11);
    }

    #[test]
    fn a_socket_that_cannot_be_one_is_the_configurations_fault() {
        check(AgentError::NoSocket { socket: "/run".into(), kind: "a folder" }, 7);
    }

    #[test]
    fn another_programs_codes_are_passed_on() {
        check(AgentError::Refused(ApiError { code: 100, msg: "full".into(), details: String::new() }), 100);
        let said = CniError { cni_version: String::new(), code: 123, msg: "no".into(), details: String::new() };
        check(DelegateError::Failed { name: "host-local".into(), said }, 123);
    }

    #[test]
    fn status_has_its_own() {
        check(Fault::NotAvailable(String::new()), 50);
        check(Fault::LimitedConnectivity(String::new()), 51);
    }

    #[test]
    fn ours_begin_at_100() {
        check(Fault::IfnameTaken { ifname: "eth0".into(), netns: "/n".into() }, 104);
        check(Fault::Damaged { ifname: "eth0".into(), damage: vec![] }, 102);
        check(Fault::Garbage { errors: vec![] }, 103);
        check(Fault::Vanished { name: "fr0".into() }, 101);
    }
}
