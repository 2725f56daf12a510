//! A node whose pods one of the CNI project's own plugins connects.

use std::{
    net::IpAddr,
    path::{Path as FilePath, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_kit::topology::{Invocation, Netns, Pod};

use super::{MTU, Path, Place};

/// Where distributions put the plugins.
const FOLDER: &str = "/usr/lib/cni";

/// Which plugin, and whose settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `bridge`: pods on a bridge that is their gateway.
    Bridge,
    /// `ptp`: pods routed one by one.
    Ptp,
    /// `bridge` as flannel delegates to it, with a route to all pods.
    Flannel,
}

/// The node.
#[derive(Debug)]
pub struct PluginNode {
    /// Its namespace.
    pub netns: Netns,
    kind: Kind,
    subnet: String,
    place: Place,
}

impl PluginNode {
    /// Makes one without pods, whose pods' addresses are of 10.`octets`.0/24.
    ///
    /// # Errors
    /// Where the plugin is not installed.
    pub fn new(kind: Kind, octets: [u8; 2]) -> Result<Self> {
        let file = kind.file();
        ensure!(file.is_file(), "{} is not there; install the package containernetworking-plugins", file.display());
        let place = Place::new();
        let netns = Netns::new(&place.name("node"))?;
        Ok(Self { netns, kind, subnet: format!("10.{}.{}.0/24", octets[0], octets[1]), place })
    }

    /// Connects a pod, in a new namespace.
    ///
    /// # Errors
    /// The plugin's.
    pub fn add(&self, name: &str) -> Result<Pod> {
        let netns = Netns::new(&self.place.name(name))?;
        let result = self.invocation("ADD", name, &netns.path()).run(&self.netns)?;
        Pod::new(name, netns, result)
    }

    /// A call of the plugin.
    pub fn invocation(&self, command: &str, container: &str, netns: &FilePath) -> Invocation {
        let call = Invocation::new(command, container, netns, &self.place.0.folder());
        Invocation { config: self.config(), plugin: Some(self.kind.file()), ..call }
    }

    /// From one pod to another.
    ///
    /// # Errors
    /// Where the second has no IPv4 address.
    pub fn path<'a>(subject: &'static str, from: &'a Pod, to: &'a Pod) -> Result<Path<'a>> {
        Ok(Path::new(subject, &from.netns, &to.netns, address(to)?))
    }

    fn config(&self) -> Value {
        let any = json!([{"dst": "0.0.0.0/0"}]);
        let routes = if self.kind == Kind::Flannel { json!([{"dst": super::flannel::PODS}]) } else { any };
        // Its own folder: the default one is the machine's.
        let leases = self.place.0.folder().join("host-local");
        let mut config = json!({
            "cniVersion": "1.0.0",
            "name": "bench",
            "type": self.kind.file().file_name().map(|name| name.to_string_lossy()),
            "mtu": MTU,
            "ipMasq": false,
            "ipam": {
                "type": "host-local", "ranges": [[{"subnet": self.subnet}]], "routes": routes, "dataDir": leases,
            },
        });
        if self.kind != Kind::Ptp {
            config["bridge"] = "cni0".into();
            config["isGateway"] = true.into();
        }
        if self.kind == Kind::Flannel {
            config["isDefaultGateway"] = true.into();
            config["hairpinMode"] = true.into();
        }
        config
    }
}

impl Kind {
    fn file(self) -> PathBuf {
        FilePath::new(FOLDER).join(if self == Self::Ptp { "ptp" } else { "bridge" })
    }
}

/// A pod's IPv4 address.
pub fn address(pod: &Pod) -> Result<IpAddr> {
    pod.address(true).with_context(|| format!("{} has no IPv4 address: {:?}", pod.name, pod.addresses))
}
