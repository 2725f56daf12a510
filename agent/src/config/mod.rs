//! The agent's configuration: a TOML file, overridden by flags. Every setting has one name in both.

mod flows;
mod services;
mod source;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use ferrule_common::layout;
use ferrule_common::settings::{DEFAULT_OPEN_MARK, DEFAULT_VXLAN_PORT};
use ferrule_model::desired::Routing as ModelRouting;
use ipnetwork::IpNetwork;
use serde::Deserialize;

pub use flows::{Flows, Timeouts};
pub use services::{KubeProxy, Services, Switch};
pub use source::{Source, SourceConfig};

/// How pods' packets travel between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// Encapsulated; the underlay sees nodes' addresses only.
    Vxlan,
    /// As they are; the underlay carries pods' addresses.
    Native,
    /// As they are to nodes on the same link, encapsulated to others; both are accepted.
    Auto,
}

impl From<Routing> for ModelRouting {
    fn from(routing: Routing) -> Self {
        match routing {
            Routing::Vxlan => Self::Vxlan,
            Routing::Native => Self::Native,
            Routing::Auto => Self::Auto,
        }
    }
}

/// How programs are put on the devices that stay. Pods' veths always take clsact filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attach {
    /// Pinned TCX links (Linux 6.6).
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

/// What a pod may send to its own node where egress policies select it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnNodeEgress {
    /// Everything.
    Allow,
    /// What a policy allows.
    Policed,
}

/// Every setting, unset where the user gave none: as flags and as the file's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Options {
    /// This node's name, as its Node object has it [default: the host's name]
    #[arg(long, env = "FERRULE_NODE_NAME")]
    pub node_name: Option<String>,
    /// Where Kubernetes objects come from [default: kubernetes with --kubeconfig or --api-server, else files]
    #[arg(long)]
    pub source: Option<Source>,
    /// The kubeconfig with which the API server is asked [default: the pod's service account]
    #[arg(long, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,
    /// The API server's URL, where that of the credentials leads nowhere before Services work
    #[arg(long, value_name = "URL")]
    pub api_server: Option<String>,
    /// Whether adding a pod waits for its Pod object and its namespace [default: true with the API server as the source]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub require_pod_object: Option<bool>,
    /// Addresses on which /livez, /readyz and /metrics are served by HTTP, besides the socket [default: none]
    #[arg(long, value_delimiter = ',', value_name = "IP:PORT,…")]
    pub listen: Option<Vec<SocketAddr>>,
    /// Folder of CNI configurations, to which the agent's is written when it can serve [default: none is written]
    #[arg(long, value_name = "DIR")]
    pub cni_conf_dir: Option<PathBuf>,
    /// Folder of CNI plugins: portmap is chained where it is there [default: /opt/cni/bin]
    #[arg(long, value_name = "DIR")]
    pub cni_bin_dir: Option<PathBuf>,
    /// Where the host's sysctls can be written; within a container another place than [default: /proc/sys]
    #[arg(long, value_name = "DIR")]
    pub sysctl_root: Option<PathBuf>,
    /// Folder of Kubernetes YAML: nodes, pods, namespaces, policies [default: /etc/ferrule/manifests]
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// The agent's socket, for the plugin and the command line [default: /run/ferrule/agent.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Folder of what has to outlive the agent: leases [default: /var/lib/ferrule]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Folder of pinned maps and links, in a BPF file system [default: /sys/fs/bpf/ferrule]
    #[arg(long, value_name = "DIR")]
    pub bpffs: Option<PathBuf>,
    /// Folder of the addresses that a former plugin's host-local leases, which are not leased again [default:
    /// /var/lib/cni/networks]
    #[arg(long, value_name = "DIR")]
    pub host_local: Option<PathBuf>,
    /// How pods' packets travel between nodes [default: vxlan]
    #[arg(long)]
    pub routing: Option<Routing>,
    /// The node's own devices, by name [default: those that hold the node's InternalIPs]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub devices: Option<Vec<String>>,
    /// How programs are put on the overlay device and the node's own [default: tcx where the kernel has it, else clsact]
    #[arg(long)]
    pub attach: Option<Attach>,
    /// Pods' MTU in bytes [default: what the path to the other nodes leaves]
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<u32>,
    /// CIDRs of all pods: what nobody owns there is unreachable and never leaves the node
    #[arg(long, value_delimiter = ',', value_name = "CIDR,…")]
    pub cluster_cidrs: Option<Vec<IpNetwork>>,
    /// The overlay's UDP port [default: 8472]
    #[arg(long, value_name = "PORT")]
    pub vxlan_port: Option<u16>,
    /// What a pod may send to its own node where egress policies select it [default: allow]
    #[arg(long)]
    pub own_node_egress: Option<OwnNodeEgress>,
    /// Translate Services' addresses at the socket, for pods and for the node's own processes [default: on]
    #[arg(long)]
    pub services: Option<Switch>,
    /// The cgroup v2 folder whose processes' sockets reach Services [default: where it is mounted]
    #[arg(long, value_name = "PATH")]
    pub cgroup_root: Option<PathBuf>,
    /// Whether kube-proxy translates what no socket program saw; else it is refused [default: auto]
    #[arg(long)]
    pub kube_proxy: Option<KubeProxy>,
    /// The bit of a packet's mark that Ferrule uses between its programs, within the node [default: 0x100000]
    #[arg(long, value_name = "BIT", value_parser = mark)]
    pub mark: Option<u32>,
    /// Flows that the connection table has room for; a table that is there keeps its size [default: 131072]
    #[arg(long, value_name = "FLOWS")]
    pub conntrack_entries: Option<u32>,
    /// How much of the connection table one pod may fill [default: 25]
    #[arg(long, value_name = "PERCENT")]
    pub conntrack_share: Option<u32>,
    /// How long an established TCP connection may be silent [default: 8000]
    #[arg(long, value_name = "SECONDS")]
    pub conntrack_tcp: Option<u32>,
    /// How long a TCP connection that nobody answers is remembered [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub conntrack_tcp_opening: Option<u32>,
    /// How long a TCP connection that has ended is remembered [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub conntrack_tcp_closing: Option<u32>,
    /// How long a short exchange by UDP or SCTP is remembered [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub conntrack_udp: Option<u32>,
    /// How long a lasting flow by UDP or SCTP may be silent [default: 120]
    #[arg(long, value_name = "SECONDS")]
    pub conntrack_udp_stream: Option<u32>,
    /// How long any other flow may be silent [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub conntrack_other: Option<u32>,
    /// Drops and new flows that each CPU tells of in a second [default: 100]
    #[arg(long, value_name = "EVENTS")]
    pub events_per_second: Option<u32>,
    /// error, warn, info, debug or trace, or tracing directives [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

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
    /// See [`Options::vxlan_port`].
    pub vxlan_port: u16,
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

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{path}: cannot be read; give another file with --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not what it should be; the parser names line and key.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, key and what is wrong.
        message: String,
    },
    /// A value is out of bounds.
    #[error("{key}: {problem}")]
    Value {
        /// The setting's name, as flag and as key of the file.
        key: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// The smallest MTU that IPv6 allows (RFC 8200 section 5).
const LEAST_MTU: u32 = 1280;
/// The smallest connection table that is of use.
const LEAST_FLOWS: u32 = 1024;
/// The largest: 2.5 GB.
const MOST_FLOWS: u32 = 1 << 24;
/// Jiffies are counted in 32 bits, at up to a thousand a second, and a timeout may be doubled.
const MOST_SECONDS: u32 = 1_000_000;
/// The largest an IP packet can be.
const MOST_MTU: u32 = 65_535;

impl Options {
    /// Reads the file's settings.
    ///
    /// # Errors
    /// Where it cannot be read, or has an unknown key or a value of the wrong kind.
    pub fn read(path: &std::path::Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        toml::from_str(&text).map_err(|error| ConfigError::Parse { path: path.into(), message: error.to_string() })
    }

    /// These settings, and `other`'s where they are unset.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            node_name: self.node_name.or(other.node_name),
            source: self.source.or(other.source),
            kubeconfig: self.kubeconfig.or(other.kubeconfig),
            api_server: self.api_server.or(other.api_server),
            require_pod_object: self.require_pod_object.or(other.require_pod_object),
            listen: self.listen.or(other.listen),
            cni_conf_dir: self.cni_conf_dir.or(other.cni_conf_dir),
            cni_bin_dir: self.cni_bin_dir.or(other.cni_bin_dir),
            sysctl_root: self.sysctl_root.or(other.sysctl_root),
            manifests: self.manifests.or(other.manifests),
            socket: self.socket.or(other.socket),
            state_dir: self.state_dir.or(other.state_dir),
            bpffs: self.bpffs.or(other.bpffs),
            host_local: self.host_local.or(other.host_local),
            routing: self.routing.or(other.routing),
            devices: self.devices.or(other.devices),
            attach: self.attach.or(other.attach),
            mtu: self.mtu.or(other.mtu),
            cluster_cidrs: self.cluster_cidrs.or(other.cluster_cidrs),
            vxlan_port: self.vxlan_port.or(other.vxlan_port),
            own_node_egress: self.own_node_egress.or(other.own_node_egress),
            services: self.services.or(other.services),
            cgroup_root: self.cgroup_root.or(other.cgroup_root),
            kube_proxy: self.kube_proxy.or(other.kube_proxy),
            mark: self.mark.or(other.mark),
            conntrack_entries: self.conntrack_entries.or(other.conntrack_entries),
            conntrack_share: self.conntrack_share.or(other.conntrack_share),
            conntrack_tcp: self.conntrack_tcp.or(other.conntrack_tcp),
            conntrack_tcp_opening: self.conntrack_tcp_opening.or(other.conntrack_tcp_opening),
            conntrack_tcp_closing: self.conntrack_tcp_closing.or(other.conntrack_tcp_closing),
            conntrack_udp: self.conntrack_udp.or(other.conntrack_udp),
            conntrack_udp_stream: self.conntrack_udp_stream.or(other.conntrack_udp_stream),
            conntrack_other: self.conntrack_other.or(other.conntrack_other),
            events_per_second: self.events_per_second.or(other.events_per_second),
            log_level: self.log_level.or(other.log_level),
        }
    }

    /// Fills in defaults and checks every value.
    ///
    /// # Errors
    /// The first value that cannot be used.
    pub fn check(self) -> Result<Config, ConfigError> {
        let bad = |key, problem: String| Err(ConfigError::Value { key, problem });
        let flows = self.flows()?;
        let source = self.source()?;
        let node_name = match self.node_name {
            Some(name) => name,
            None => match nix::unistd::gethostname() {
                Ok(name) => name.to_string_lossy().into_owned(),
                Err(errno) => return bad("node-name", format!("the host's name cannot be read ({errno}); give one")),
            },
        };
        if node_name.is_empty() {
            return bad("node-name", "is empty; give the name of this node's Node object".into());
        }
        if let Some(mtu) = self.mtu
            && !(LEAST_MTU..=MOST_MTU).contains(&mtu)
        {
            return bad("mtu", format!("{mtu} is not between {LEAST_MTU} and {MOST_MTU}"));
        }
        let vxlan_port = self.vxlan_port.unwrap_or(DEFAULT_VXLAN_PORT);
        if vxlan_port == 0 {
            return bad("vxlan-port", "0 is no port; use 8472 or 4789".into());
        }
        let mark = self.mark.unwrap_or(DEFAULT_OPEN_MARK);
        if !mark.is_power_of_two() {
            return bad("mark", format!("{mark:#x} is not one bit; give one that nothing else on the node uses"));
        }
        let cluster_cidrs = self.cluster_cidrs.unwrap_or_default();
        for (at, cidr) in cluster_cidrs.iter().enumerate() {
            if cidr.ip() != cidr.network() {
                return bad(
                    "cluster-cidrs",
                    format!("{cidr} has host bits set; write {}/{}", cidr.network(), cidr.prefix()),
                );
            }
            if cidr.prefix() == 0 {
                return bad("cluster-cidrs", format!("{cidr} is every address; give the CIDR of pods"));
            }
            if let Some(other) = cluster_cidrs[..at].iter().find(|other| overlap(other, cidr)) {
                return bad("cluster-cidrs", format!("{cidr} overlaps {other}; give each address once"));
            }
        }
        let path = |value: Option<PathBuf>, default: &str| value.unwrap_or_else(|| default.into());
        let config = Config {
            node_name,
            require_pod_object: self.require_pod_object.unwrap_or(source.is_kubernetes()),
            source,
            listen: self.listen.unwrap_or_default(),
            cni_conf_dir: self.cni_conf_dir,
            cni_bin_dir: path(self.cni_bin_dir, "/opt/cni/bin"),
            sysctl_root: path(self.sysctl_root, "/proc/sys"),
            socket: path(self.socket, "/run/ferrule/agent.sock"),
            state_dir: path(self.state_dir, "/var/lib/ferrule"),
            bpffs: path(self.bpffs, "/sys/fs/bpf/ferrule"),
            host_local: path(self.host_local, "/var/lib/cni/networks"),
            routing: self.routing.unwrap_or(Routing::Vxlan),
            devices: self.devices.unwrap_or_default(),
            attach: self.attach,
            mtu: self.mtu,
            cluster_cidrs,
            vxlan_port,
            own_node_egress: self.own_node_egress.unwrap_or(OwnNodeEgress::Allow),
            services: Services {
                on: self.services.unwrap_or_default() == Switch::On,
                cgroup_root: self.cgroup_root,
                kube_proxy: self.kube_proxy.unwrap_or_default(),
            },
            mark,
            flows,
            events_per_second: self.events_per_second.unwrap_or(100),
            log_level: self.log_level.unwrap_or_else(|| "info".into()),
        };
        if let Some(root) = config.services.cgroup_root.as_ref().filter(|root| !root.is_absolute()) {
            return bad("cgroup-root", format!("{} is not an absolute path", root.display()));
        }
        for (key, value) in [("socket", &config.socket), ("state-dir", &config.state_dir), ("bpffs", &config.bpffs)] {
            if !value.is_absolute() {
                return bad(key, format!("{} is not an absolute path", value.display()));
            }
        }
        Ok(config)
    }
}

impl Options {
    fn flows(&self) -> Result<Flows, ConfigError> {
        let usual = Timeouts::default();
        let seconds = |key, given: Option<u32>, usual| match given.unwrap_or(usual) {
            seconds @ 1..=MOST_SECONDS => Ok(seconds),
            other => Err(ConfigError::Value { key, problem: format!("{other} is not between 1 and {MOST_SECONDS}") }),
        };
        let flows = Flows {
            entries: self.conntrack_entries.unwrap_or(layout::CONNTRACK),
            share_percent: self.conntrack_share.unwrap_or(25),
            timeouts: Timeouts {
                tcp: seconds("conntrack-tcp", self.conntrack_tcp, usual.tcp)?,
                tcp_opening: seconds("conntrack-tcp-opening", self.conntrack_tcp_opening, usual.tcp_opening)?,
                tcp_closing: seconds("conntrack-tcp-closing", self.conntrack_tcp_closing, usual.tcp_closing)?,
                udp: seconds("conntrack-udp", self.conntrack_udp, usual.udp)?,
                udp_stream: seconds("conntrack-udp-stream", self.conntrack_udp_stream, usual.udp_stream)?,
                other: seconds("conntrack-other", self.conntrack_other, usual.other)?,
            },
        };
        let bad = |key, problem| Err(ConfigError::Value { key, problem });
        if !(LEAST_FLOWS..=MOST_FLOWS).contains(&flows.entries) {
            let problem = format!("{} is not between {LEAST_FLOWS} and {MOST_FLOWS}", flows.entries);
            return bad("conntrack-entries", problem);
        }
        if !(1..=100).contains(&flows.share_percent) {
            return bad("conntrack-share", format!("{} is not between 1 and 100", flows.share_percent));
        }
        Ok(flows)
    }
}

/// A number as people write bits: decimal, or hexadecimal after `0x`.
fn mark(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| error.to_string())
}

fn overlap(a: &IpNetwork, b: &IpNetwork) -> bool {
    let contains = |net: &IpNetwork, ip: IpAddr| net.contains(ip);
    contains(a, b.network()) || contains(b, a.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str, expected: Result<fn(&Config) -> bool, &str>) {
        let result = toml::from_str::<Options>(toml)
            .map_err(|e| e.to_string())
            .and_then(|options| options.check().map_err(|error| error.to_string()));
        match (result, expected) {
            (Ok(config), Ok(holds)) => assert!(holds(&config), "{config:?}"),
            (Err(message), Err(part)) => assert!(message.contains(part), "{message:?} lacks {part:?}"),
            (result, _) => panic!("{toml:?} gave {result:?}"),
        }
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        check("node-name = 'n1'", Ok(|c| c.socket.as_os_str() == "/run/ferrule/agent.sock" && c.vxlan_port == 8472));
    }

    #[test]
    fn errors_name_the_key() {
        check("nod-name = 'n1'", Err("nod-name"));
        check("routing = 'geneve'", Err("geneve"));
        check("mtu = 900", Err("mtu: 900 is not between 1280 and 65535"));
        check("mtu = 'big'", Err("mtu"));
        check("node-name = ''", Err("node-name: is empty"));
        check(
            "cluster-cidrs = ['10.244.1.0/16']",
            Err("cluster-cidrs: 10.244.1.0/16 has host bits set; write 10.244.0.0/16"),
        );
        check("cluster-cidrs = ['10.244.0.0/16', '10.244.8.0/24']", Err("overlaps 10.244.0.0/16"));
        check("cluster-cidrs = ['0.0.0.0/0']", Err("cluster-cidrs: 0.0.0.0/0 is every address"));
        check("socket = 'agent.sock'", Err("socket: agent.sock is not an absolute path"));
        check("vxlan-port = 0", Err("vxlan-port"));
        check("mark = 3", Err("mark: 0x3 is not one bit"));
        check("conntrack-entries = 10", Err("conntrack-entries: 10 is not between 1024"));
        check("conntrack-share = 0", Err("conntrack-share: 0 is not between 1 and 100"));
        check("conntrack-udp = 0", Err("conntrack-udp: 0 is not between 1 and 1000000"));
        check("api-server = '10.0.0.1:6443'", Err("api-server: \"10.0.0.1:6443\" is not a URL"));
        check("source = 'files'\nkubeconfig = '/k'", Err("kubeconfig: is of no use with source = \"files\""));
        check("source = 'kubernetes'\nmanifests = '/m'", Err("manifests: is of no use with source = \"kubernetes\""));
        check("own-node-egress = 'deny'", Err("deny"));
        check("services = 'no'", Err("no"));
        check("kube-proxy = 'yes'", Err("yes"));
        check("cgroup-root = 'cgroup'", Err("cgroup-root: cgroup is not an absolute path"));
    }

    #[test]
    fn the_api_server_is_the_source_where_something_says_how_to_ask_it() {
        check("", Ok(|c| !c.source.is_kubernetes() && !c.require_pod_object));
        check("source = 'kubernetes'", Ok(|c| c.source.is_kubernetes() && c.require_pod_object));
        check(
            "kubeconfig = '/k'\nrequire-pod-object = false",
            Ok(|c| c.source.is_kubernetes() && !c.require_pod_object),
        );
        check("api-server = 'https://10.0.0.1:6443'", Ok(|c| c.source.is_kubernetes()));
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let flag = Options { mtu: Some(1400), ..Options::default() };
        let file = Options { mtu: Some(9000), node_name: Some("n1".into()), ..Options::default() };
        let both = flag.or(file);
        assert_eq!((both.mtu, both.node_name.as_deref()), (Some(1400), Some("n1")));
    }
}
