//! From what the user gave to the configuration: defaults filled in, every value checked.

use std::{net::IpAddr, path::PathBuf};

use ferrule_common::settings::{DEFAULT_OPEN_MARK, DEFAULT_VXLAN_PORT};
use ferrule_model::desired::{LEAST_V4, special};
use ipnetwork::IpNetwork;

use super::{Config, ConfigError, Encapsulation, Options, OwnNodeEgress, Routing, path::absolute};

/// The smallest MTU that IPv4 hosts have to take (RFC 791 section 3.1). IPv6 needs 1280, which is asked for where a node has
/// pod CIDRs of it.
const LEAST_MTU: u32 = LEAST_V4;
/// The largest an IP packet can be.
const MOST_MTU: u32 = 65_535;

impl Options {
    /// Fills in defaults and checks every value.
    ///
    /// # Errors
    /// The first value that cannot be used.
    pub fn check(self) -> Result<Config, ConfigError> {
        let flows = self.flows()?;
        let source = self.source()?;
        let services = self.services()?;
        let path = |given: Option<PathBuf>, default: &str| given.unwrap_or_else(|| default.into());
        let config = Config {
            node_name: self.node_name.map_or_else(host_name, Ok)?,
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
            cluster_cidrs: self.cluster_cidrs.unwrap_or_default(),
            node_cidrs: self.node_cidrs.unwrap_or_default(),
            vxlan_port: self.vxlan_port.unwrap_or(DEFAULT_VXLAN_PORT),
            encapsulation: self.encapsulation.unwrap_or(Encapsulation::Auto),
            own_node_egress: self.own_node_egress.unwrap_or(OwnNodeEgress::Allow),
            services,
            mark: self.mark.unwrap_or(DEFAULT_OPEN_MARK),
            flows,
            events_per_second: self.events_per_second.unwrap_or(100),
            log_level: self.log_level.unwrap_or_else(|| "info".into()),
        };
        config.is_usable()?;
        Ok(config)
    }
}

impl Config {
    /// Holds each value against what it may be, those of sources, Services and flows aside.
    fn is_usable(&self) -> Result<(), ConfigError> {
        let bad = |key, problem: String| Err(ConfigError::Value { key, problem });
        if self.node_name.is_empty() {
            return bad("node-name", "is empty; give the name of this node's Node object".into());
        }
        if let Some(mtu) = self.mtu.filter(|mtu| !(LEAST_MTU..=MOST_MTU).contains(mtu)) {
            return bad("mtu", format!("{mtu} is not between {LEAST_MTU} and {MOST_MTU}"));
        }
        super::log_filter(&self.log_level)?;
        if let Some(name) = self.devices.iter().find(|name| name.is_empty() || name.len() > 15) {
            return bad("devices", format!("{name:?} is no device's name; give 1 to 15 bytes each, such as eth0"));
        }
        if let Some(name) = self.devices.iter().find(|name| ferrule_kernel::net::own::is_ours(name)) {
            return bad(
                "devices",
                format!("{name} is made by Ferrule; name the devices by which nodes reach each other"),
            );
        }
        if self.vxlan_port == 0 {
            return bad("vxlan-port", "0 is no port; use 8472 or 4789".into());
        }
        if !self.mark.is_power_of_two() {
            return bad(
                "mark",
                format!("{:#x} is not one bit; give one that nothing else on the node uses", self.mark),
            );
        }
        for (key, whose, cidrs) in
            [("cluster-cidrs", "pods", &self.cluster_cidrs), ("node-cidrs", "nodes", &self.node_cidrs)]
        {
            for (at, cidr) in cidrs.iter().enumerate() {
                let problem = if cidr.ip() != cidr.network() {
                    format!("{cidr} has host bits set; write {}/{}", cidr.network(), cidr.prefix())
                } else if cidr.prefix() == 0 {
                    format!("{cidr} is every address; give the CIDR of {whose}")
                } else if let Some(what) = special(*cidr) {
                    format!("{cidr} has addresses that are {what} and no {whose}'; give the CIDR of {whose}")
                } else if let Some(other) = cidrs[..at].iter().find(|other| overlap(other, cidr)) {
                    format!("{cidr} overlaps {other}; give each address once")
                } else {
                    continue;
                };
                return bad(key, problem);
            }
        }
        let both = |node: &&IpNetwork| self.cluster_cidrs.iter().any(|cluster| overlap(cluster, node));
        if let Some(node) = self.node_cidrs.iter().find(both) {
            return bad("node-cidrs", format!("{node} overlaps cluster-cidrs; no address is a node's and a pod's"));
        }
        for (key, path) in [
            ("socket", Some(&self.socket)),
            ("state-dir", Some(&self.state_dir)),
            ("bpffs", Some(&self.bpffs)),
            ("cni-conf-dir", self.cni_conf_dir.as_ref()),
            ("cni-bin-dir", Some(&self.cni_bin_dir)),
            ("sysctl-root", Some(&self.sysctl_root)),
            ("host-local", Some(&self.host_local)),
        ] {
            path.map_or(Ok(()), |path| absolute(key, path))?;
        }
        Ok(())
    }
}

fn host_name() -> Result<String, ConfigError> {
    let unreadable = |errno| format!("the host's name cannot be read ({errno}); give one");
    let name = nix::unistd::gethostname()
        .map_err(|errno| ConfigError::Value { key: "node-name", problem: unreadable(errno) })?;
    Ok(name.to_string_lossy().into_owned())
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
        check("mtu = 575", Err("mtu: 575 is not between 576 and 65535"));
        check("mtu = 'big'", Err("mtu"));
        check("node-name = ''", Err("node-name: is empty"));
        check(
            "cluster-cidrs = ['10.244.1.0/16']",
            Err("cluster-cidrs: 10.244.1.0/16 has host bits set; write 10.244.0.0/16"),
        );
        check("cluster-cidrs = ['10.244.0.0/16', '10.244.8.0/24']", Err("overlaps 10.244.0.0/16"));
        check("cluster-cidrs = ['0.0.0.0/0']", Err("cluster-cidrs: 0.0.0.0/0 is every address"));
        check(
            "cluster-cidrs = ['169.254.0.0/24']",
            Err("169.254.0.0/24 has addresses that are link-local and no pods'"),
        );
        check("node-cidrs = ['192.0.2.1/24']", Err("node-cidrs: 192.0.2.1/24 has host bits set; write 192.0.2.0/24"));
        check(
            "cluster-cidrs = ['10.0.0.0/8']\nnode-cidrs = ['10.9.0.0/16']",
            Err("node-cidrs: 10.9.0.0/16 overlaps cluster-cidrs"),
        );
        check("socket = 'agent.sock'", Err("socket: \"agent.sock\" is not an absolute path"));
        check("cni-conf-dir = 'net.d'", Err("cni-conf-dir: \"net.d\" is not an absolute path"));
        check("sysctl-root = ''", Err("sysctl-root: \"\" is not an absolute path"));
        check("devices = ['']", Err("devices: \"\" is no device's name"));
        check("devices = ['eth0', 'ferrule-vxlan']", Err("devices: ferrule-vxlan is made by Ferrule"));
        check("log-level = 'loud'", Err("log-level: \"loud\" is no level"));
        check("vxlan-port = 0", Err("vxlan-port"));
        check("mark = 3", Err("mark: 0x3 is not one bit"));
        check("conntrack-entries = 10", Err("conntrack-entries: 10 is not between 1024"));
        check("conntrack-share = 0", Err("conntrack-share: 0 is not between 1 and 100"));
        check("conntrack-udp = 0", Err("conntrack-udp: 0 is not between 1 and 1000000"));
        check("api-server = '10.0.0.1:6443'", Err("api-server: \"10.0.0.1:6443\" is not a URL"));
        check("api-server = 'http://10.0.0.1:8080'", Err("api-server: http://10.0.0.1:8080/: without TLS"));
        check("source = 'files'\nkubeconfig = '/k'", Err("kubeconfig: is of no use with source = \"files\""));
        check("source = 'kubernetes'\nmanifests = '/m'", Err("manifests: is of no use with source = \"kubernetes\""));
        check("own-node-egress = 'deny'", Err("deny"));
        check("services = 'no'", Err("no"));
        check("kube-proxy = 'yes'", Err("yes"));
        check("cgroup-root = 'cgroup'", Err("cgroup-root: \"cgroup\" is not an absolute path"));
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
}
