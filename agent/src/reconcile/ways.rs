//! The ways to other nodes: this node's devices, the overlay device, and what the kernel says of each path.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ferrule_api::chain::chain;
use ferrule_common::hash::fnv1a;
use ferrule_kernel::{
    net,
    net::{NetError, link, overlay, own},
};
use ferrule_model::desired::{Overhead, Path, Underlay};
use ferrule_source::store::Snapshot;
use futures::future::try_join_all;
use rtnetlink::Handle;

use super::{others, uplinks::Uplinks};
use crate::config::{Config, Routing};

/// Where neither a device nor a path tells: Ethernet's.
const DEFAULT_MTU: u32 = 1500;
/// Addresses that nobody has (RFC 5737, RFC 3849): the way to them is the way to everywhere.
const ELSEWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 255)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1))];
/// Questions about paths that are on their way at once.
const AT_ONCE: usize = 32;

/// What was found.
#[derive(Debug, Clone, Default)]
pub(super) struct Ways {
    /// The node's own devices, which lead to other nodes.
    pub devices: Vec<link::Device>,
    /// Those that lead to none.
    pub others: Vec<link::Device>,
    /// The overlay device, where there is one.
    pub overlay: Option<link::Device>,
    /// The devices by which programs encapsulate.
    pub uplinks: Uplinks,
    /// By the other node's address.
    pub paths: BTreeMap<IpAddr, Path>,
    /// Pods' MTU, in bytes.
    pub pod_mtu: u32,
    /// This node's addresses, with the device that has them; not what we made.
    pub local: BTreeMap<IpAddr, u32>,
    /// The addresses of its own devices, and gateways.
    pub kept: BTreeSet<IpAddr>,
}

/// Knows links that other plugins made for pods, by name and interface index.
pub(super) type IsPod<'a> = &'a (dyn Fn(&str, u32) -> bool + Sync);

impl Ways {
    /// Looks again, and sees to the overlay device. Paths that are known are believed, unless `anew`.
    /// Our own devices, the overlay's and pods' links, are neither the node's own nor a way to anywhere, whatever objects say:
    /// what we made would else be what we go by. A sentence for each part that could not be seen to, which keeps no other from
    /// its turn.
    pub async fn look(
        &self,
        config: &Config,
        net: &Handle,
        snapshot: &Snapshot,
        anew: bool,
        is_pod: IsPod<'_>,
    ) -> Result<(Self, Vec<String>), NetError> {
        let mut errors = Vec::new();
        let nodes = &snapshot.objects.nodes;
        let own = nodes.get(config.node_name.as_str());
        let own_ips: Vec<IpAddr> = own.map(|node| node.internal_ips.clone()).unwrap_or_default();
        let mut all = link::all(net).await?;
        all.retain(|device| !is_made_here(device, is_pod));
        let addresses = link::addresses(net).await?;
        let devices = own_devices(config, &own_ips, &all, &addresses, &mut errors);
        let mtus: HashMap<u32, u32> = all.iter().map(|device| (device.ifindex, device.mtu)).collect();
        let others = nodes.values().filter(|node| *node.name != *config.node_name);
        let all_ips: Vec<IpAddr> = others.flat_map(|node| node.internal_ips.iter().copied()).collect();
        let paths = self.paths(net, &all_ips, &mtus, anew).await?;
        let pod_mtu = config.mtu.unwrap_or_else(|| pod_mtu(config.routing, &devices, &paths, &own_ips));
        let overlay = overlay_device(config, net, pod_mtu, &mut errors).await;
        if let Some(device) = &overlay {
            let removed = overlay::remove_link_local(net, device.ifindex, &addresses).await;
            errors.extend(removed.err().map(|error| chain(&error)));
        }
        let held = |devices: &[link::Device]| -> BTreeMap<IpAddr, u32> {
            let of = |at: u32| devices.iter().any(|device| device.ifindex == at);
            addresses.iter().filter(|(_, at)| of(*at)).copied().collect()
        };
        let (local, mut kept) = (held(&all), BTreeSet::from_iter(held(&devices).into_keys()));
        kept.extend(
            paths.iter().map(|(ip, path)| (ip, path.next_hop)).filter(|(ip, hop)| *ip != hop).map(|(_, hop)| hop),
        );
        kept.extend(self.default_gateways(net, &mtus, anew).await?);
        let others = others::others(&all, &devices);
        let uplinks = Uplinks::of(config, &devices);
        Ok((Self { devices, others, overlay, uplinks, paths, pod_mtu, local, kept }, errors))
    }

    /// Whether the ways are the same, whatever other devices there are.
    pub fn lead_as(&self, other: &Self) -> bool {
        let Self { devices, others: _, overlay, uplinks, paths, pod_mtu, local, kept } = self;
        (devices, overlay, paths, pod_mtu) == (&other.devices, &other.overlay, &other.paths, &other.pod_mtu)
            && (uplinks, local, kept) == (&other.uplinks, &other.local, &other.kept)
    }

    async fn paths(
        &self,
        net: &Handle,
        to: &[IpAddr],
        mtus: &HashMap<u32, u32>,
        anew: bool,
    ) -> Result<BTreeMap<IpAddr, Path>, NetError> {
        let known = |ip: &IpAddr| self.paths.get(ip).filter(|_| !anew).map(|path| (*ip, *path));
        let mut paths: BTreeMap<IpAddr, Path> = to.iter().filter_map(known).collect();
        let unknown: Vec<IpAddr> = to.iter().copied().filter(|ip| !paths.contains_key(ip)).collect();
        for some in unknown.chunks(AT_ONCE) {
            let mut asked = Vec::new();
            for ip in some {
                asked.push(net::underlay::path(net, *ip, mtus));
            }
            let answers = try_join_all(asked).await?;
            paths.extend(some.iter().zip(answers).filter_map(|(ip, path)| Some((*ip, path?))));
        }
        Ok(paths)
    }

    /// The gateways to everywhere else.
    async fn default_gateways(
        &self,
        net: &Handle,
        mtus: &HashMap<u32, u32>,
        anew: bool,
    ) -> Result<Vec<IpAddr>, NetError> {
        if !anew && !self.kept.is_empty() {
            return Ok(self.kept.iter().copied().filter(|ip| !self.local.contains_key(ip)).collect());
        }
        let mut gateways = Vec::new();
        for elsewhere in ELSEWHERE {
            let path = net::underlay::path(net, elsewhere, mtus).await?;
            gateways.extend(path.map(|path| path.next_hop).filter(|hop| *hop != elsewhere));
        }
        Ok(gateways)
    }

    /// For the model.
    pub fn underlay(&self) -> Underlay {
        Underlay {
            paths: self.paths.clone(),
            vxlan_ifindex: self.overlay.as_ref().map(|device| device.ifindex),
            vxlan_mtu: self.overlay.as_ref().map_or(0, |device| device.mtu),
            uplinks: self.uplinks.devices.clone(),
            local: self.local.clone(),
            kept: self.kept.clone(),
        }
    }
}

/// The node's own devices: those configured, of which each has to be there, or those that hold its InternalIPs.
fn own_devices(
    config: &Config,
    own_ips: &[IpAddr],
    all: &[link::Device],
    addresses: &[(IpAddr, u32)],
    errors: &mut Vec<String>,
) -> Vec<link::Device> {
    if config.devices.is_empty() {
        let holds = |ifindex| addresses.iter().any(|(ip, at)| *at == ifindex && own_ips.contains(ip));
        return all.iter().filter(|device| holds(device.ifindex)).cloned().collect();
    }
    let mut devices = Vec::new();
    for name in &config.devices {
        match all.iter().find(|device| device.name == *name) {
            Some(device) => devices.push(device.clone()),
            None => errors.push(NetError::NoDevice(name.clone()).to_string()),
        }
    }
    devices
}

/// Whether a device is one that this agent or the plugin made, or that another plugin made for a pod.
fn is_made_here(device: &link::Device, is_pod: IsPod<'_>) -> bool {
    own::is_ours(&device.name) || is_pod(&device.name, device.ifindex)
}

/// What the narrowest way leaves. What a router said for ten minutes does not count: pods' MTU would change with it.
fn pod_mtu(routing: Routing, devices: &[link::Device], paths: &BTreeMap<IpAddr, Path>, own_ips: &[IpAddr]) -> u32 {
    let overhead = Overhead::default();
    let all = devices.iter().map(|device| device.mtu).chain(paths.values().map(|path| path.mtu));
    let least = all.min().unwrap_or(DEFAULT_MTU);
    let over_v6 = own_ips.first().is_some_and(IpAddr::is_ipv6);
    // Where no other node has this node's first family, the tunnel takes the other one.
    let other_family = !paths.is_empty() && !own_ips.is_empty() && paths.keys().all(|ip| ip.is_ipv6() != over_v6);
    match routing {
        Routing::Native => least,
        Routing::Vxlan | Routing::Auto if over_v6 || other_family => least.saturating_sub(overhead.v6),
        Routing::Vxlan | Routing::Auto => least.saturating_sub(overhead.v4),
    }
}

/// The overlay's device as far as it could be had.
async fn overlay_device(config: &Config, net: &Handle, mtu: u32, errors: &mut Vec<String>) -> Option<link::Device> {
    if config.routing == Routing::Native {
        errors.extend(overlay::remove(net, own::OVERLAY).await.err().map(|error| chain(&error)));
        return None;
    }
    let wanted = overlay::Wanted {
        name: own::OVERLAY.into(),
        port: config.vxlan_port,
        mtu,
        mac: overlay_mac(&config.node_name),
    };
    match overlay::ensure(net, &wanted).await {
        Ok((device, refused)) => {
            errors.extend(refused.iter().map(|error| chain(error)));
            Some(device)
        }
        Err(error) => {
            errors.push(chain(&error));
            None
        }
    }
}

/// Locally administered, and another one for each node: the kernel's loop check drops a packet whose inner source is
/// the receiving device's own.
fn overlay_mac(node: &str) -> [u8; 6] {
    let bytes = fnv1a(node.bytes()).to_be_bytes();
    [0x02, bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]
}
