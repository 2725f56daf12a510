//! The network configuration on stdin.

use std::{net::IpAddr, path::PathBuf};

use ferrule_api::plugin::{AttachmentId, Bandwidth, DEFAULT_SOCKET};
use ferrule_netlink::mac::Mac;
use serde_json::Value;

use super::{
    args::Args,
    attachment,
    capability::{Capabilities, CniArgs, address},
    env::is_identifier,
    fields::{FieldError, Fields},
    result::Dns,
    version::{UnsupportedVersion, Version},
};

/// Where the plugin logs, unless `logFile` says otherwise.
pub const DEFAULT_LOG: &str = "/var/log/ferrule/cni.log";

/// Where the runtime finds network configurations, unless `configDir` says otherwise.
pub const DEFAULT_CONFIG_DIR: &str = "/etc/cni/net.d";

/// A network configuration, checked. Fields that are not ours are kept in [`NetConf::raw`] and reach a delegated plugin.
#[derive(Debug, Clone)]
pub struct NetConf {
    /// `cniVersion`.
    pub version: Version,
    /// `name`: the network.
    pub name: String,
    /// `agentSocket`.
    pub agent_socket: PathBuf,
    /// `logFile`.
    pub log_file: PathBuf,
    /// `ipam.type`: the delegated IPAM plugin.
    pub ipam: Option<String>,
    /// All of stdin.
    pub raw: Vec<u8>,
    /// Fields that only some commands read, so that DEL does not mind what stands there.
    unread: Fields,
}

/// What the caller asks of ADD, by whichever of the ways that callers use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// At most one address a family, IPv4 first.
    pub ips: Vec<IpAddr>,
    /// The MAC of the container's side.
    pub mac: Option<Mac>,
    /// Name resolution to report: the runtime's, else the configuration's.
    pub dns: Dns,
    /// The container's bandwidth is limited.
    pub bandwidth: Option<Bandwidth>,
    /// `configDir`.
    pub config_dir: PathBuf,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON (code 6).
    #[error("the network configuration on stdin is not JSON")]
    Json(#[source] serde_json::Error),
    /// A version that the plugin does not speak (code 1).
    #[error(transparent)]
    Version(#[from] UnsupportedVersion),
    /// No or a wrong `name` (code 7).
    #[error(
        "the network's name {0:?} must begin with a letter or digit and go on with letters, digits, '_', '.' or '-'"
    )]
    Name(String),
    /// `ipam` has settings but no `type` (code 7).
    #[error("ipam has settings but no type; name the IPAM plugin, or leave ipam out to use the agent's addresses")]
    IpamType,
    /// A field is not what it must be (code 7).
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Two addresses of one family are asked for (code 7).
    #[error("{first} and {second} are both asked for, and an attachment has one address a family")]
    TwoAddresses {
        /// One of them.
        first: IpAddr,
        /// The other.
        second: IpAddr,
    },
}

impl NetConf {
    /// Reads what stands on stdin.
    ///
    /// # Errors
    /// It is not JSON, of another version, or one of the fields that the plugin uses is wrong.
    pub fn parse(raw: Vec<u8>) -> Result<Self, ConfigError> {
        let value: Value = serde_json::from_slice(&raw).map_err(ConfigError::Json)?;
        let mut fields =
            Fields::new("", value).map_err(|error| FieldError { path: "the configuration".into(), ..error })?;
        let version = Version::of_config(fields.string("cniVersion")?.as_deref())?;
        let name = fields.string("name")?.unwrap_or_default();
        if !is_identifier(&name) {
            return Err(ConfigError::Name(name));
        }
        Ok(Self {
            version,
            agent_socket: socket(&mut fields)?,
            log_file: path(&mut fields, "logFile", DEFAULT_LOG)?,
            ipam: ipam(fields.object("ipam")?)?,
            unread: fields,
            name,
            raw,
        })
    }

    /// What the caller asks for: `runtimeConfig` before `args.cni` before `CNI_ARGS`.
    ///
    /// # Errors
    /// A known field is wrong, or two addresses of one family are asked for.
    pub fn wishes(&self, args: &Args) -> Result<Wishes, ConfigError> {
        let mut fields = self.unread.clone();
        let runtime = Capabilities::read(fields.object("runtimeConfig")?, &self.name)?;
        let older = CniArgs::read(fields.object("args")?.object("cni")?)?;
        let dns = Dns::read(fields.object("dns")?)?;
        let ips = match [runtime.ips, older.ips].into_iter().find(|ips| !ips.is_empty()) {
            Some(ips) => ips,
            None => ips_of(args)?,
        };
        let mac = match runtime.mac.or(older.mac) {
            Some(mac) => Some(mac),
            None => mac_of(args)?,
        };
        Ok(Wishes {
            ips: one_a_family(ips)?,
            mac,
            dns: runtime.dns.unwrap_or(dns),
            bandwidth: runtime.bandwidth,
            config_dir: path(&mut fields, "configDir", DEFAULT_CONFIG_DIR)?,
        })
    }

    /// `prevResult`, unread.
    #[must_use]
    pub fn prev_result(&self) -> Option<Value> {
        self.unread.clone().take("prevResult")
    }

    /// GC's list of attachments that stay; none where the caller sent no list.
    ///
    /// # Errors
    /// The list is wrong.
    pub fn valid_attachments(&self) -> Result<Option<Vec<AttachmentId>>, FieldError> {
        attachment::take(&mut self.unread.clone())
    }
}

fn ips_of(args: &Args) -> Result<Vec<IpAddr>, FieldError> {
    let texts = args.ip.as_deref().unwrap_or_default().split(',').filter(|text| !text.trim().is_empty());
    texts.map(|text| address(text).ok_or_else(|| FieldError::new("CNI_ARGS IP", "an address", &text.into()))).collect()
}

fn mac_of(args: &Args) -> Result<Option<Mac>, FieldError> {
    let expected = "a unicast MAC of six hex pairs with colons";
    let mac = args
        .mac
        .as_deref()
        .map(|text| Mac::parse(text).map_err(|_| FieldError::new("CNI_ARGS MAC", expected, &text.into())));
    mac.transpose()
}

fn one_a_family(mut ips: Vec<IpAddr>) -> Result<Vec<IpAddr>, ConfigError> {
    ips.sort();
    ips.dedup();
    match ips.windows(2).find(|pair| pair[0].is_ipv4() == pair[1].is_ipv4()) {
        Some(pair) => Err(ConfigError::TwoAddresses { first: pair[0], second: pair[1] }),
        None => Ok(ips),
    }
}

fn path(fields: &mut Fields, key: &str, default: &str) -> Result<PathBuf, FieldError> {
    let path = fields.read(key, "an absolute path", |value| {
        value.as_str().filter(|path| path.starts_with('/')).map(PathBuf::from)
    })?;
    Ok(path.unwrap_or_else(|| PathBuf::from(default)))
}

/// Of what a socket's path may have (`sun_path` of `unix(7)`), the terminating zero left out.
const LONGEST_SOCKET: usize = 107;

fn socket(fields: &mut Fields) -> Result<PathBuf, FieldError> {
    let path = fields.read("agentSocket", "an absolute path of at most 107 bytes, as sockets have", |value| {
        value.as_str().filter(|path| path.starts_with('/') && path.len() <= LONGEST_SOCKET).map(PathBuf::from)
    })?;
    Ok(path.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET)))
}

fn ipam(mut fields: Fields) -> Result<Option<String>, ConfigError> {
    let plugin = fields.read("type", "a file name", |value| {
        value.as_str().filter(|name| !name.contains('/') && *name != "." && *name != "..").map(str::to_owned)
    })?;
    match plugin.filter(|name| !name.is_empty()) {
        None if !fields.rest().is_empty() => Err(ConfigError::IpamType),
        plugin => Ok(plugin),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(more: Value) -> Result<NetConf, ConfigError> {
        let mut config = json!({"cniVersion": "1.0.0", "name": "pods", "type": "ferrule-cni"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        NetConf::parse(config.to_string().into_bytes())
    }

    fn check_error(more: Value, expected: &str) {
        let found = config(more).map(drop).map_err(|error| error.to_string());
        assert!(found.as_ref().is_err_and(|error| error.contains(expected)), "{found:?}\n{expected}");
    }

    #[test]
    fn paths_have_defaults() {
        let conf = config(json!({})).unwrap();
        assert_eq!((conf.agent_socket.to_str(), conf.log_file.to_str()), (Some(DEFAULT_SOCKET), Some(DEFAULT_LOG)));
        let conf = config(json!({"agentSocket": "/a.sock", "logFile": "/l"})).unwrap();
        assert_eq!((conf.agent_socket.to_str(), conf.log_file.to_str()), (Some("/a.sock"), Some("/l")));
        check_error(json!({"agentSocket": "relative"}), "agentSocket must be an absolute path");
        let longest = format!("/{}", "a".repeat(106));
        assert_eq!(config(json!({"agentSocket": longest})).unwrap().agent_socket.to_str(), Some(&*longest));
        check_error(json!({"agentSocket": format!("{longest}a")}), "of at most 107 bytes");
    }

    #[test]
    fn names_are_checked() {
        for name in [json!(""), json!(null), json!("a b"), json!("_a")] {
            check_error(json!({"name": name}), "name");
        }
    }

    #[test]
    fn ipam_is_none_without_settings_and_needs_a_type_with_them() {
        assert_eq!(config(json!({"ipam": {}})).unwrap().ipam, None);
        assert_eq!(config(json!({"ipam": null})).unwrap().ipam, None);
        assert_eq!(config(json!({"ipam": {"type": "host-local"}})).unwrap().ipam.as_deref(), Some("host-local"));
        check_error(json!({"ipam": {"subnet": "10.0.0.0/24"}}), "ipam has settings but no type");
        check_error(json!({"ipam": {"type": "../host-local"}}), "ipam.type must be a file name");
    }

    #[test]
    fn a_missing_version_is_0_1_0_which_is_not_spoken() {
        let error = NetConf::parse(br#"{"name":"pods"}"#.to_vec()).unwrap_err();
        assert!(matches!(error, ConfigError::Version(UnsupportedVersion { requested }) if requested.is_none()));
    }

    #[test]
    fn what_stands_in_prev_result_is_not_minded() {
        assert_eq!(config(json!({"prevResult": "garbage"})).unwrap().prev_result(), Some(json!("garbage")));
        assert_eq!(config(json!({"prevResult": null})).unwrap().prev_result(), None);
    }

    fn check_ips(more: Value, args: &str, expected: &[&str]) {
        let args = Args::parse(args).unwrap();
        let expected: Vec<IpAddr> = expected.iter().map(|ip| ip.parse().unwrap()).collect();
        assert_eq!(config(more.clone()).unwrap().wishes(&args).unwrap().ips, expected, "{more}");
    }

    #[test]
    fn addresses_are_taken_from_the_runtime_first() {
        check_ips(json!({}), "", &[]);
        check_ips(json!({}), "IP=10.88.0.5", &["10.88.0.5"]);
        check_ips(json!({}), "IP=fd00::5/64,10.88.0.5", &["10.88.0.5", "fd00::5"]);
        check_ips(json!({"args": {"cni": {"ips": ["10.0.0.6/24"]}}}), "IP=10.88.0.5", &["10.0.0.6"]);
        check_ips(
            json!({"runtimeConfig": {"ips": ["10.0.0.7"]}, "args": {"cni": {"ips": ["10.0.0.6"]}}}),
            "IP=10.88.0.5",
            &["10.0.0.7"],
        );
        check_ips(json!({"runtimeConfig": {"ips": ["10.0.0.7", "10.0.0.7/16"]}}), "", &["10.0.0.7"]);
    }

    #[test]
    fn two_addresses_of_a_family_are_refused() {
        let conf = config(json!({"runtimeConfig": {"ips": ["10.0.0.7", "10.0.0.8"]}})).unwrap();
        assert!(matches!(conf.wishes(&Args::default()), Err(ConfigError::TwoAddresses { .. })));
    }

    #[test]
    fn macs_are_taken_from_the_runtime_first() {
        let args = Args::parse("MAC=02:00:00:00:00:03").unwrap();
        let mac = |more: Value| config(more).unwrap().wishes(&args).unwrap().mac.unwrap().to_string();
        assert_eq!(mac(json!({})), "02:00:00:00:00:03");
        assert_eq!(mac(json!({"args": {"cni": {"mac": "02:00:00:00:00:02"}}})), "02:00:00:00:00:02");
        assert_eq!(mac(json!({"runtimeConfig": {"mac": "02:00:00:00:00:01"}})), "02:00:00:00:00:01");
        let wrong = Args::parse("MAC=no").unwrap();
        assert!(config(json!({})).unwrap().wishes(&wrong).unwrap_err().to_string().contains("CNI_ARGS MAC"));
    }
}
