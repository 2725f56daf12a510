//! The agent's configuration: a TOML file, overridden by flags. Every setting has one name in both.
//!
//! ```text
//! flags ─┐
//!        ├─▶ options ─▶ merge: flags win ─▶ check: defaults, bounds ─▶ Config
//! file ──┘
//! ```

mod check;
mod choices;
mod datapath;
mod error;
mod flows;
mod log;
mod merge;
mod options;
mod path;
mod services;
mod source;

use std::{net::SocketAddr, path::PathBuf};

pub use choices::{Attach, Encapsulation, KubeProxy, OwnNodeEgress, Routing, Source, Switch};
pub use error::ConfigError;
use ferrule_model::desired::Ranges;
pub use flows::Flows;
use ipnetwork::IpNetwork;
pub use log::log_filter;
pub use options::Options;
pub use services::Services;
pub use source::SourceConfig;

/// Every setting, with defaults and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// See [`Options::node_name`].
    pub node_name: String,
    /// See [`Options::source`].
    pub source: SourceConfig,
    /// See [`Options::require_pod_object`].
    pub require_pod_object: bool,
    /// See [`Options::listen`].
    pub listen: Vec<SocketAddr>,
    /// See [`Options::cni_conf_dir`].
    pub cni_conf_dir: Option<PathBuf>,
    /// See [`Options::cni_bin_dir`].
    pub cni_bin_dir: PathBuf,
    /// See [`Options::sysctl_root`].
    pub sysctl_root: PathBuf,
    /// See [`Options::socket`].
    pub socket: PathBuf,
    /// See [`Options::state_dir`].
    pub state_dir: PathBuf,
    /// See [`Options::bpffs`].
    pub bpffs: PathBuf,
    /// See [`Options::host_local`].
    pub host_local: PathBuf,
    /// See [`Options::routing`].
    pub routing: Routing,
    /// See [`Options::devices`]; empty for those that hold the node's InternalIPs.
    pub devices: Vec<String>,
    /// See [`Options::attach`].
    pub attach: Option<Attach>,
    /// See [`Options::mtu`].
    pub mtu: Option<u32>,
    /// See [`Options::cluster_cidrs`].
    pub cluster_cidrs: Vec<IpNetwork>,
    /// See [`Options::node_cidrs`].
    pub node_cidrs: Vec<IpNetwork>,
    /// See [`Options::vxlan_port`].
    pub vxlan_port: u16,
    /// See [`Options::encapsulation`].
    pub encapsulation: Encapsulation,
    /// See [`Options::own_node_egress`].
    pub own_node_egress: OwnNodeEgress,
    /// See [`Options::services`] and what follows it.
    pub services: Services,
    /// See [`Options::mark`].
    pub mark: u32,
    /// See [`Options::conntrack_entries`] and what follows it.
    pub flows: Flows,
    /// See [`Options::events_per_second`].
    pub events_per_second: u32,
    /// See [`Options::log_level`].
    pub log_level: String,
}

impl Config {
    /// Where addresses of pods and nodes lie.
    #[must_use]
    pub fn ranges(&self) -> Ranges {
        Ranges { cluster_cidrs: self.cluster_cidrs.clone(), node_cidrs: self.node_cidrs.clone() }
    }
}
