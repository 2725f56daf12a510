//! What the plugin and the agent say to each other: JSON over HTTP/1.1 on the agent's unix socket, the version in the
//! path. Additive changes keep the version; unknown fields are ignored, so that plugin and agent may be one release apart.
//!
//! `reserve` gives addresses and names, the plugin makes the veth, `activate` attaches programs and installs map
//! entries. All requests are idempotent by container id, ifname and netns.

use std::{net::IpAddr, path::PathBuf};

use ferrule_common::hash::fnv1a;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

/// Where the agent listens, unless `agentSocket` says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/ferrule/agent.sock";

/// `POST`: [`ReserveRequest`] to [`ReserveResponse`].
pub const RESERVE: &str = "/v1/cni/reserve";
/// `POST`: [`ActivateRequest`] to an empty object.
pub const ACTIVATE: &str = "/v1/cni/activate";
/// `POST`: [`ReleaseRequest`] to an empty object.
pub const RELEASE: &str = "/v1/cni/release";
/// `POST`: [`CheckRequest`] to an empty object, or [`ApiError`] that names what is damaged.
pub const CHECK: &str = "/v1/cni/check";
/// `POST`: [`GcRequest`] to [`GcResponse`].
pub const GC: &str = "/v1/cni/gc";
/// `GET`: [`StatusResponse`].
pub const STATUS: &str = "/v1/cni/status";

/// The folder of notes beside the agent's socket: `<socket>.releases/`. A DEL that finds no agent writes one
/// [`ReleaseRequest`] as JSON into a file of it (temporary name, fsync, rename, fsync of the folder); the agent applies
/// and removes every note before it leases again.
#[must_use]
pub fn release_notes(socket: &std::path::Path) -> std::path::PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".releases");
    path.into()
}

/// The agent's heartbeat beside its socket: `<socket>.alive`, an empty file whose modification time the agent sets every
/// ten seconds. STATUS finds by it how long an agent that does not answer has been away.
#[must_use]
pub fn heartbeat(socket: &std::path::Path) -> std::path::PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".alive");
    path.into()
}

/// The host side's name of an attachment's veth: `fr` and eleven hex digits of a hash of container id and ifname.
///
/// FNV-1a, so that plugin and agent of different releases agree without asking each other.
#[must_use]
pub fn host_ifname(container_id: &str, ifname: &str) -> String {
    let hash = fnv1a(container_id.bytes().chain([0]).chain(ifname.bytes()));
    format!("fr{:011x}", hash & 0xfff_ffff_ffff)
}

/// The pod an attachment belongs to, from `CNI_ARGS` (`K8S_POD_NAMESPACE`, `K8S_POD_NAME`, `K8S_POD_UID`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRef {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid; a static pod's may be a hash. Absent where the runtime sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// One attachment: CNI's container id and interface name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttachmentId {
    /// `CNI_CONTAINERID`.
    pub container_id: String,
    /// `CNI_IFNAME`.
    pub ifname: String,
}

/// Asks for addresses and names; changes nothing but the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveRequest {
    /// Whose lease it is.
    #[serde(flatten)]
    pub id: AttachmentId,
    /// `CNI_NETNS`, a path.
    pub netns: String,
    /// The network's name in the CNI configuration; GC acts on one network's attachments only.
    pub network: String,
    /// The pod, where the runtime named one.
    #[serde(default)]
    pub pod: Option<PodRef>,
    /// Addresses that the caller asks for (`runtimeConfig.ips`, `args.cni.ips`, `CNI_ARGS` `IP=`): at most one a family.
    #[serde(default)]
    pub requested_ips: Vec<IpAddr>,
    /// The MAC that the caller asks for (`runtimeConfig.mac`, `CNI_ARGS` `MAC=`), as six hex pairs with colons.
    #[serde(default)]
    pub mac: Option<String>,
    /// Addresses that a delegated IPAM plugin gave. The agent then leases none of its own, and refuses those that
    /// another attachment holds.
    #[serde(default)]
    pub delegated_ips: Option<Vec<IpAddr>>,
    /// `runtimeConfig.bandwidth` has a rate: queueing disciplines on the host side, which what the pod sends and receives
    /// has to pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shaped: bool,
    /// The limits, where `shaped`. A plugin one release older sends none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// Where `shaped`, who sets the limits.
    #[serde(default)]
    pub shaper: Shaper,
    /// Another plugin of the chain made the interface, delivers its packets and gave it its addresses
    /// (`delegated_ips`): the agent judges, and does nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce_only: Option<HostSide>,
}

/// The host side of another plugin's veth, as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSide {
    /// Its name.
    pub name: String,
    /// Its MAC, as six hex pairs with colons.
    pub mac: String,
    /// Its MTU, in bytes.
    pub mtu: u32,
}

/// Traffic limits; 0 is unset. A burst of 4294967295 is how callers say "no bound".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bandwidth {
    /// To the container, in bits a second.
    pub ingress_rate: u64,
    /// To the container, in bits.
    pub ingress_burst: u64,
    /// From the container, in bits a second.
    pub egress_rate: u64,
    /// From the container, in bits.
    pub egress_burst: u64,
}

/// What the network's configuration list says of the CNI project's plugin `bandwidth`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shaper {
    /// The list was not found.
    #[default]
    Unknown,
    /// It has no such plugin.
    Nobody,
    /// It has, in this file.
    Chained(PathBuf),
}

/// What an attachment gets. Each address is a /32 or a /128.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveResponse {
    /// The veth's host side, as [`host_ifname`] gives it, or as [`ReserveRequest::enforce_only`] names it.
    pub host_ifname: String,
    /// The MAC of the veth's host side: the gateway's, as the pod sees it.
    pub host_mac: String,
    /// The MAC of the pod's side.
    pub pod_mac: String,
    /// The MTU of both sides, in bytes.
    pub mtu: u32,
    /// IPv4 first.
    pub addresses: Vec<ReservedAddress>,
}

/// An address and the gateway that its default route uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservedAddress {
    /// With its full prefix length.
    pub address: IpNetwork,
    /// Link-local; on link, with a permanent neighbour entry of the host side's MAC.
    pub gateway: IpAddr,
}

/// The veth is there: attach the programs, add the routes, publish the addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivateRequest {
    /// Whose lease it is.
    #[serde(flatten)]
    pub id: AttachmentId,
    /// `CNI_NETNS`, a path.
    pub netns: String,
    /// The host side's interface index.
    pub host_ifindex: u32,
}

/// Removes an attachment: link, map entries, routes, lease. Unknown attachments are fine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRequest {
    /// Whose lease it is.
    #[serde(flatten)]
    pub id: AttachmentId,
}

/// Asks whether all that an attachment needs is there: lease, link, programs, routes, map entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// Whose lease it is.
    #[serde(flatten)]
    pub id: AttachmentId,
    /// `CNI_NETNS`, a path.
    pub netns: String,
    /// The addresses that `prevResult` gives the attachment.
    pub addresses: Vec<IpAddr>,
}

/// Removes every attachment of one network that is not listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcRequest {
    /// The network's name.
    pub network: String,
    /// Attachments that stay.
    pub valid: Vec<AttachmentId>,
}

/// What GC did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcResponse {
    /// Attachments removed.
    pub removed: Vec<AttachmentId>,
    /// One sentence for each attachment that could not be removed.
    pub errors: Vec<String>,
}

/// Whether ADD would work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusResponse {
    /// ADD can be served.
    pub ready: bool,
    /// Existing pods have connectivity.
    pub datapath: bool,
    /// Why not, where one of them is false.
    #[serde(default)]
    pub message: Option<String>,
}

/// The body of every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// A CNI error code: 11 try again, 3 unknown container, 7 invalid request, 100 and above ours.
    pub code: u32,
    /// What is wrong, where, and what to do.
    pub msg: String,
    /// The chain of causes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

/// The agent's own codes, from 100 (CNI spec, "Error": 100 and above are the plugin's).
pub mod code {
    /// Try again later (CNI spec).
    pub const TRY_AGAIN: u32 = 11;
    /// Unknown container (CNI spec).
    pub const UNKNOWN_CONTAINER: u32 = 3;
    /// The request cannot be served as it is (CNI spec: invalid network config).
    pub const INVALID: u32 = 7;
    /// No address is left, or the requested one is taken.
    pub const ADDRESSES: u32 = 100;
    /// A kernel object (link, route, program, map) could not be made.
    pub const KERNEL: u32 = 101;
    /// CHECK found damage.
    pub const DAMAGED: u32 = 102;
    /// The agent failed.
    pub const INTERNAL: u32 = 103;
    /// The attachment exists already, with another netns.
    pub const EXISTS: u32 = 104;
}
