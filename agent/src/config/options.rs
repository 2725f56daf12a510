//! What the user gives, as flags and as the file's keys. A setting is declared here, and what it comes to in
//! [`super::Config`]; merging needs no word of it.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use ipnetwork::IpNetwork;
use serde::Deserialize;

use super::{Attach, ConfigError, Encapsulation, KubeProxy, OwnNodeEgress, Routing, Source, Switch, merge::settings};

settings! {
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
        /// Ask an API server whose URL is http://: whoever is on the way reads the token and answers in its place [default: false]
        #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
        pub allow_plain_http: Option<bool>,
        /// Whether adding a pod waits for its Pod object and its namespace [default: true with the API server as the
        /// source]
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
        /// Folder of Kubernetes YAML: Nodes, Pods, Namespaces, NetworkPolicies, Services, EndpointSlices [default:
        /// /etc/ferrule/manifests]
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
        /// How programs are put on the overlay device and the node's own [default: tcx where the kernel has it, else
        /// clsact]
        #[arg(long)]
        pub attach: Option<Attach>,
        /// Pods' MTU in bytes [default: what the path to the other nodes leaves]
        #[arg(long, value_name = "BYTES")]
        pub mtu: Option<u32>,
        /// CIDRs of all pods: what nobody owns there is unreachable and never leaves the node
        #[arg(long, value_delimiter = ',', value_name = "CIDR,…")]
        pub cluster_cidrs: Option<Vec<IpNetwork>>,
        /// CIDRs of all nodes' InternalIPs: others are refused, and no pod has an address in them [default: none]
        #[arg(long, value_delimiter = ',', value_name = "CIDR,…")]
        pub node_cidrs: Option<Vec<IpNetwork>>,
        /// The overlay's UDP port [default: 8472]
        #[arg(long, value_name = "PORT")]
        pub vxlan_port: Option<u16>,
        /// Who puts pods' packets to other nodes into the tunnel, and takes them out [default: auto]
        #[arg(long)]
        pub encapsulation: Option<Encapsulation>,
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
        /// How much of the connection table one pod may fill in each direction [default: 25]
        #[arg(long, value_name = "PERCENT")]
        pub conntrack_share: Option<u32>,
        /// How long an established TCP connection may be silent [default: 8000]
        #[arg(long, value_name = "SECONDS")]
        pub conntrack_tcp: Option<u32>,
        /// How long after its SYN a TCP connection is remembered that its opener has not acknowledged [default: 10]
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
}

impl Options {
    /// Reads the file's settings.
    ///
    /// # Errors
    /// Where it cannot be read, or has an unknown key or a value of the wrong kind.
    pub fn read(path: &std::path::Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        toml::from_str(&text).map_err(|error| ConfigError::Parse { path: path.into(), message: error.to_string() })
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
