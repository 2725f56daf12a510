//! Results as each version wants them: `ips[].version` below 1.0.0 only, link details from 1.1.0 on only.

use serde_json::{Map, Value, json};

use super::{AddResult, Dns, Interface, Ip, Route};
use crate::spec::version::Version;

impl AddResult {
    /// The result's JSON in a version.
    #[must_use]
    pub fn write(&self, version: Version) -> Value {
        let mut map = self.other.clone();
        map.insert("cniVersion".into(), version.as_str().into());
        put_list(&mut map, "interfaces", self.interfaces.iter().map(|interface| interface.write(version)).collect());
        put_list(&mut map, "ips", self.ips.iter().map(|ip| ip.write(version)).collect());
        put_list(&mut map, "routes", self.routes.iter().map(|route| route.write(version)).collect());
        map.insert("dns".into(), self.dns.write());
        map.into()
    }
}

impl Interface {
    fn write(&self, version: Version) -> Value {
        let mut map = self.other.clone();
        map.insert("name".into(), self.name.as_str().into());
        put(&mut map, "mac", self.mac.as_deref());
        put(&mut map, "sandbox", self.sandbox.as_deref());
        if version.has_link_details() {
            put(&mut map, "mtu", self.mtu);
            put(&mut map, "socketPath", self.socket_path.as_deref());
            put(&mut map, "pciID", self.pci_id.as_deref());
        }
        map.into()
    }
}

impl Ip {
    fn write(&self, version: Version) -> Value {
        let mut map = self.other.clone();
        if version.marks_ip_family() {
            map.insert("version".into(), if self.address.is_ipv4() { "4" } else { "6" }.into());
        }
        put(&mut map, "interface", self.interface);
        map.insert("address".into(), self.address.to_string().into());
        put(&mut map, "gateway", self.gateway.map(|gateway| gateway.to_string()));
        map.into()
    }
}

impl Route {
    fn write(&self, version: Version) -> Value {
        let mut map = self.other.clone();
        map.insert("dst".into(), self.dst.to_string().into());
        put(&mut map, "gw", self.gw.map(|gw| gw.to_string()));
        if version.has_link_details() {
            put(&mut map, "mtu", self.mtu);
            put(&mut map, "advmss", self.advmss);
            put(&mut map, "priority", self.priority);
            put(&mut map, "table", self.table);
            put(&mut map, "scope", self.scope);
        }
        map.into()
    }
}

impl Dns {
    fn write(&self) -> Value {
        let mut map = self.other.clone();
        put_list(&mut map, "nameservers", self.nameservers.iter().map(|server| json!(server)).collect());
        put(&mut map, "domain", self.domain.as_deref());
        put_list(&mut map, "search", self.search.iter().map(|domain| json!(domain)).collect());
        put_list(&mut map, "options", self.options.iter().map(|option| json!(option)).collect());
        map.into()
    }
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(key.into(), value.into());
    }
}

fn put_list(map: &mut Map<String, Value>, key: &str, list: Vec<Value>) {
    if !list.is_empty() {
        map.insert(key.into(), list.into());
    }
}
