//! A lease as it stands on disk: JSON with a version, so that a release can tell what another one wrote.

use std::net::IpAddr;

use ferrule_api::plugin::{AttachmentId, Bandwidth, PodRef};
use serde::{Deserialize, Serialize};

use super::Mac;

/// The version of the records that this release writes.
const VERSION: u32 = 1;

/// What an attachment holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Container id and ifname.
    #[serde(flatten)]
    pub id: AttachmentId,
    /// `CNI_NETNS` at the ADD.
    pub netns: String,
    /// The boot in which the lease was made; a netns does not outlive it.
    pub boot_id: String,
    /// The network's name.
    pub network: String,
    /// The pod, where the runtime named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodRef>,
    /// IPv4 first; at most one of each family, unless delegated.
    pub addresses: Vec<IpAddr>,
    /// The addresses are a delegated IPAM plugin's.
    #[serde(default)]
    pub delegated: bool,
    /// Another plugin made its link and delivers its packets: policies are enforced there, and nothing else is ours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enforce_only: bool,
    /// A chained plugin's queueing disciplines on its link limit its bandwidth: TCX links in place of clsact, and delivery
    /// by the stack.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shaped: bool,
    /// The limits that the agent sets itself, beside clsact; delivery by the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Bandwidth>,
    /// The MAC of the pod's side.
    pub pod_mac: Mac,
    /// The MAC of the host side.
    pub host_mac: Mac,
    /// The host side's name, the other plugin's where `enforce_only`.
    pub host_ifname: String,
    /// The MTU of both sides, in bytes.
    pub mtu: u32,
    /// How far the attachment has come.
    pub state: State,
    /// The host side's interface index; 0 until the lease is active, and stale after a reboot.
    #[serde(default)]
    pub host_ifindex: u32,
    /// A small number that no other lease has, from 1. It rests after a release, as addresses do.
    pub endpoint_index: u32,
    /// When the lease was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// How far an attachment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has its addresses.
    Reserved,
    /// Its link is there, and its programs are in force.
    Active,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    #[serde(flatten)]
    lease: &'a Lease,
}

/// The version first, since a newer record may lack what this release needs.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Lease {
    /// Its link is there, and its programs are in force.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.state, State::Active)
    }

    /// The record.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(&Written { version: VERSION, lease: self }).expect("a lease has string keys only")
    }

    /// The lease of a record.
    ///
    /// # Errors
    /// A phrase that says what is wrong with it.
    pub(super) fn from_json(json: &str) -> Result<Self, String> {
        let Version { version } = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if version != VERSION {
            return Err(format!(
                "it has version {version}, and this release reads {VERSION}: run the release that wrote it"
            ));
        }
        serde_json::from_str(json).map_err(|error| error.to_string())
    }
}
