//! `runtimeConfig` and `args.cni`: what the runtime asks of a plugin beyond its configuration. Keys come in any case
//! (containerd sends `HostPort`, `IngressRate`, `Servers`); null and absent are unset.

use std::net::IpAddr;

use ferrule_api::plugin::Bandwidth;
use ferrule_netlink::mac::Mac;
use ipnetwork::IpNetwork;
use serde_json::{Map, Value};

use super::{
    fields::{FieldError, Fields},
    result::Dns,
};

/// What the runtime asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `ips`: with or without prefix length, which does not matter here.
    pub ips: Vec<IpAddr>,
    /// `mac`.
    pub mac: Option<Mac>,
    /// `dns`.
    pub dns: Option<Dns>,
    /// `portMappings`, without those of host port 0.
    pub port_mappings: Vec<PortMapping>,
    /// `bandwidth`, where one of its rates is set.
    pub bandwidth: Option<Bandwidth>,
    /// `aliases`: a list, or a map of lists by network name.
    pub aliases: Vec<String>,
    /// `cgroupPath`.
    pub cgroup_path: Option<String>,
    /// `io.kubernetes.cri.pod-annotations`.
    pub pod_annotations: Map<String, Value>,
}

/// A port of the node that leads to the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// The node's port, not 0.
    pub host_port: u16,
    /// The container's port, not 0.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Protocol,
    /// The node's address, where only one shall have the port.
    pub host_ip: Option<IpAddr>,
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP, the default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Capabilities {
    /// Reads `runtimeConfig`.
    ///
    /// # Errors
    /// A known field is not what the conventions say.
    pub fn read(mut fields: Fields, network: &str) -> Result<Self, FieldError> {
        Ok(Self {
            ips: addresses(&mut fields)?,
            mac: mac(&mut fields)?,
            dns: if fields.has("dns") { dns(fields.object("dns")?)? } else { None },
            port_mappings: port_mappings(fields.objects("portMappings")?)?,
            bandwidth: bandwidth(fields.object("bandwidth")?)?,
            aliases: aliases(&mut fields, network)?,
            cgroup_path: fields.string("cgroupPath")?,
            pod_annotations: fields.object("io.kubernetes.cri.pod-annotations")?.rest(),
        })
    }
}

/// `args.cni`: the older way to ask for addresses and a MAC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CniArgs {
    /// `ips`.
    pub ips: Vec<IpAddr>,
    /// `mac`.
    pub mac: Option<Mac>,
}

impl CniArgs {
    /// Reads `args.cni`.
    ///
    /// # Errors
    /// A known field is not what the conventions say.
    pub fn read(mut fields: Fields) -> Result<Self, FieldError> {
        Ok(Self { ips: addresses(&mut fields)?, mac: mac(&mut fields)? })
    }
}

/// Reads an address with or without prefix length.
#[must_use]
pub fn address(text: &str) -> Option<IpAddr> {
    text.trim().parse::<IpNetwork>().ok().map(|network| network.ip())
}

fn addresses(fields: &mut Fields) -> Result<Vec<IpAddr>, FieldError> {
    let path = fields.path("ips");
    fields
        .strings("ips")?
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| {
            address(&text).ok_or_else(|| {
                FieldError::new(&path, "a list of addresses, with or without prefix length", &text.into())
            })
        })
        .collect()
}

fn mac(fields: &mut Fields) -> Result<Option<Mac>, FieldError> {
    let path = fields.path("mac");
    let text = fields.string("mac")?.filter(|text| !text.is_empty());
    text.map(|text| {
        Mac::parse(&text).map_err(|_| FieldError::new(path, "a unicast MAC of six hex pairs with colons", &text.into()))
    })
    .transpose()
}

/// `dns` here says `servers` and `searches` where a result says `nameservers` and `search`; both are read.
fn dns(mut fields: Fields) -> Result<Option<Dns>, FieldError> {
    let servers = fields.strings("servers")?;
    let searches = fields.strings("searches")?;
    let mut dns = Dns::read(fields)?;
    dns.nameservers.extend(servers);
    dns.search.extend(searches);
    dns.other.clear();
    Ok(Some(dns).filter(|dns| *dns != Dns::default()))
}

fn port_mappings(list: Vec<Fields>) -> Result<Vec<PortMapping>, FieldError> {
    let mut mappings = Vec::new();
    for mut fields in list {
        let host_port = port(&mut fields, "hostPort")?;
        let container_port = port(&mut fields, "containerPort")?;
        let protocol = fields.read("protocol", "tcp, udp or sctp", |value| {
            match value.as_str()?.to_ascii_lowercase().as_str() {
                "" | "tcp" => Some(Protocol::Tcp),
                "udp" => Some(Protocol::Udp),
                "sctp" => Some(Protocol::Sctp),
                _ => None,
            }
        })?;
        let host_ip = fields.read("hostIP", "an address or an empty string", |value| match value.as_str()? {
            "" => Some(None),
            text => address(text).map(Some),
        })?;
        if host_port == 0 {
            continue;
        }
        if container_port == 0 {
            return Err(FieldError::new(
                fields.path("containerPort"),
                "a port from 1 to 65535",
                &container_port.into(),
            ));
        }
        let protocol = protocol.unwrap_or(Protocol::Tcp);
        mappings.push(PortMapping { host_port, container_port, protocol, host_ip: host_ip.flatten() });
    }
    Ok(mappings)
}

fn port(fields: &mut Fields, key: &str) -> Result<u16, FieldError> {
    let port = fields.read(key, "a port from 0 to 65535", |value| value.as_u64()?.try_into().ok())?;
    Ok(port.unwrap_or(0))
}

fn bandwidth(mut fields: Fields) -> Result<Option<Bandwidth>, FieldError> {
    let mut rate =
        |key| fields.read(key, "a number that is not negative", Value::as_u64).map(Option::unwrap_or_default);
    let bandwidth = Bandwidth {
        ingress_rate: rate("ingressRate")?,
        ingress_burst: rate("ingressBurst")?,
        egress_rate: rate("egressRate")?,
        egress_burst: rate("egressBurst")?,
    };
    Ok(Some(bandwidth).filter(|bandwidth| bandwidth.ingress_rate != 0 || bandwidth.egress_rate != 0))
}

fn aliases(fields: &mut Fields, network: &str) -> Result<Vec<String>, FieldError> {
    let aliases =
        fields.read("aliases", "a list of strings, or a map of such lists by network", |value| match value {
            Value::Object(networks) => networks.get(network).map_or(Some(Vec::new()), strings),
            list => strings(list),
        })?;
    Ok(aliases.unwrap_or_default())
}

fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: &Value) -> Result<Capabilities, FieldError> {
        Capabilities::read(Fields::new("runtimeConfig", config.clone()).unwrap(), "net")
    }

    fn check(config: Value, expected: Capabilities) {
        assert_eq!(read(&config), Ok(expected), "{config}");
    }

    fn check_error(config: Value, path: &str) {
        assert_eq!(read(&config).map_err(|error| error.path), Err(path.to_owned()), "{config}");
    }

    fn mapping(host_port: u16, container_port: u16, protocol: Protocol) -> PortMapping {
        PortMapping { host_port, container_port, protocol, host_ip: None }
    }

    #[test]
    fn nothing_and_null_ask_for_nothing() {
        check(Value::Null, Capabilities::default());
        check(json!({}), Capabilities::default());
        check(
            json!({"ips": null, "mac": null, "dns": null, "portMappings": null, "bandwidth": null, "aliases": null,
                   "cgroupPath": null, "io.kubernetes.cri.pod-annotations": null}),
            Capabilities::default(),
        );
        check(json!({"mac": "", "dns": {}, "someoneElses": 1}), Capabilities::default());
    }

    #[test]
    fn port_mappings_come_in_containerds_spelling_and_in_the_conventions() {
        let expected = Capabilities {
            port_mappings: vec![mapping(8080, 80, Protocol::Tcp), mapping(53, 5353, Protocol::Udp)],
            ..Capabilities::default()
        };
        check(
            json!({"portMappings": [{"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""},
                                     {"HostPort": 53, "ContainerPort": 5353, "Protocol": "UDP", "HostIP": ""}]}),
            expected.clone(),
        );
        check(
            json!({"PortMappings": [{"hostPort": 8080, "containerPort": 80},
                                     {"hostport": 53, "containerport": 5353, "protocol": "udp"}]}),
            expected,
        );
        let sctp = PortMapping { host_ip: Some("10.0.0.1".parse().unwrap()), ..mapping(9, 9, Protocol::Sctp) };
        check(
            json!({"portMappings": [{"hostPort": 9, "containerPort": 9, "protocol": "sctp", "hostIP": "10.0.0.1"}]}),
            Capabilities { port_mappings: vec![sctp], ..Capabilities::default() },
        );
    }

    #[test]
    fn a_host_port_of_zero_is_skipped() {
        check(
            json!({"portMappings": [{"hostPort": 0, "containerPort": 80}, {"containerPort": 81}]}),
            Capabilities::default(),
        );
    }

    #[test]
    fn a_rate_of_zero_is_unset_and_a_burst_may_be_without_bound() {
        check(
            json!({"bandwidth": {"ingressRate": 0, "egressRate": 0, "egressBurst": 4_294_967_295_u64}}),
            Capabilities::default(),
        );
        let bandwidth = Bandwidth { ingress_rate: 1000, ingress_burst: 4_294_967_295, ..Bandwidth::default() };
        check(
            json!({"bandwidth": {"IngressRate": 1000, "IngressBurst": 4_294_967_295_u64, "EgressRate": 0}}),
            Capabilities { bandwidth: Some(bandwidth), ..Capabilities::default() },
        );
    }

    #[test]
    fn addresses_come_with_and_without_prefix() {
        let ips = vec!["10.1.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        check(json!({"ips": ["10.1.0.5/24", "fd00::5"]}), Capabilities { ips, ..Capabilities::default() });
    }

    #[test]
    fn dns_reads_the_runtimes_words_and_the_results() {
        let dns = Dns { nameservers: vec!["10.0.0.2".into()], search: vec!["a.b".into()], ..Dns::default() };
        let expected = Capabilities { dns: Some(dns), ..Capabilities::default() };
        check(json!({"dns": {"Servers": ["10.0.0.2"], "Searches": ["a.b"], "Options": null}}), expected.clone());
        check(json!({"dns": {"nameservers": ["10.0.0.2"], "search": ["a.b"]}}), expected);
    }

    #[test]
    fn aliases_come_as_list_or_map() {
        let expected = Capabilities { aliases: vec!["db".into()], ..Capabilities::default() };
        check(json!({"aliases": ["db"]}), expected.clone());
        check(json!({"aliases": {"net": ["db"], "other": ["x"]}}), expected);
        check(json!({"aliases": {"other": ["x"]}}), Capabilities::default());
    }

    #[test]
    fn annotations_keep_their_keys_as_they_are() {
        let found =
            read(&json!({"io.kubernetes.cri.pod-annotations": {"Team.io/Name": "A"}, "cgroupPath": "/k/p"})).unwrap();
        assert_eq!(Value::from(found.pod_annotations), json!({"Team.io/Name": "A"}));
        assert_eq!(found.cgroup_path.as_deref(), Some("/k/p"));
    }

    #[test]
    fn an_error_names_the_field() {
        check_error(json!({"mac": "no"}), "runtimeConfig.mac");
        check_error(json!({"ips": ["no"]}), "runtimeConfig.ips");
        check_error(json!({"ips": "10.0.0.1"}), "runtimeConfig.ips");
        check_error(json!({"portMappings": [{"hostPort": 70000}]}), "runtimeConfig.portMappings[0].hostPort");
        check_error(json!({"portMappings": [{"hostPort": 1}]}), "runtimeConfig.portMappings[0].containerPort");
        check_error(json!({"portMappings": [{"protocol": "icmp"}]}), "runtimeConfig.portMappings[0].protocol");
        check_error(json!({"bandwidth": {"ingressRate": -1}}), "runtimeConfig.bandwidth.ingressRate");
        check_error(json!({"aliases": 7}), "runtimeConfig.aliases");
    }
}
