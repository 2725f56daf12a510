//! Other nodes: what the maps and the host's routes say of them, and whether they answer.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ferrule_api::{chain::chain, view::Finding};
use ferrule_common::settings;
use ferrule_kernel::{
    bpf::RemoteMaps,
    net::{host_side::source, link, route},
};
use ferrule_model::{desired::Desired, plan::plan};

use super::ping;
use crate::{controllers::Controllers, reconcile::OVERLAY};

/// Differences that are named one by one.
const NAMED: usize = 5;

pub(super) async fn check(controllers: &Arc<Controllers>) -> Vec<Finding> {
    let Some(desired) = controllers.state.borrow().desired.clone() else { return Vec::new() };
    let mut findings = maps(controllers, &desired);
    findings.extend(routes(controllers, &desired).await);
    findings.extend(sources(&desired));
    findings.extend(nodes(controllers).await);
    findings
}

fn maps(controllers: &Controllers, desired: &Desired) -> Vec<Finding> {
    let unreadable =
        |error: String| vec![Finding::failure("maps", "", error, "restart the agent, which pins the maps anew")];
    let observed = match RemoteMaps::pinned(&controllers.pins).map(|maps| maps.observe()) {
        Ok(Ok(observed)) => observed,
        Ok(Err(error)) => return unreadable(chain(&error)),
        Err(error) => return unreadable(chain(&error)),
    };
    let steps = plan(&observed, &desired.remote);
    if steps.is_empty() {
        let entries = observed.peers.len() + observed.nodes.len() + observed.prefixes.len();
        return vec![Finding::ok("maps", format!("all {entries} entries about other nodes are as the objects say"))];
    }
    let more = steps.len().saturating_sub(NAMED);
    let mut findings: Vec<Finding> =
        steps.iter().take(NAMED).map(|step| Finding::mendable("maps", "", format!("needed: {step}"))).collect();
    if more > 0 {
        findings.push(Finding::mendable("maps", "", format!("needed: {more} more steps")));
    }
    findings
}

async fn routes(controllers: &Controllers, desired: &Desired) -> Vec<Finding> {
    let overlay = match link::by_name(&controllers.net, OVERLAY).await {
        Ok(device) => device.map(|device| device.ifindex),
        Err(error) => return vec![Finding::failure("routes", OVERLAY, chain(&error), "see the kernel's log")],
    };
    match route::missing(&controllers.net, &desired.routes, overlay, u64::from(settings::VNI)).await {
        Ok(missing) if missing.is_empty() => {
            vec![Finding::ok("routes", format!("the node has all {} routes to pods", desired.routes.len()))]
        }
        Ok(missing) => missing
            .iter()
            .map(|to| Finding::mendable("routes", to.to_string(), "the node's route to it is missing, or another one"))
            .collect(),
        Err(error) => vec![Finding::failure("routes", "", chain(&error), "see the kernel's log")],
    }
}

/// InternalIPs of a family by which other nodes are reached, of which no device has one: what this node sends may be believed by
/// nobody.
fn sources(desired: &Desired) -> Vec<Finding> {
    let tunnels = || desired.remote.nodes.values().filter_map(|entry| entry.tunnel);
    let fix =
        "give the device the address, or correct the Node's InternalIPs; where another box translates it, all is well";
    let families = [(true, "IPv4"), (false, "IPv6")];
    let lacks = |(v4, name): (bool, &str)| {
        let own = desired.own_internal_ips.iter().find(|ip| ip.is_ipv4() == v4)?;
        let needed = tunnels().any(|tunnel| tunnel.is_ipv4() == v4);
        let words = format!(
            "no device of this node has its {name} InternalIP {own}, so that other nodes may drop what it sends"
        );
        (needed && source(desired.host_sources, *own).is_none()).then(|| Finding::warning("nodes", "", words, fix))
    };
    families.into_iter().filter_map(lacks).collect()
}

/// Whether each node answers a ping at the address to which its packets go, from that from which they do.
async fn nodes(controllers: &Controllers) -> Vec<Finding> {
    let nodes = controllers.state.borrow().nodes.clone();
    let addresses: BTreeMap<IpAddr, (Option<IpAddr>, String)> = nodes
        .values()
        .filter_map(|(name, entry)| {
            let internal = entry.internal_v4.map(IpAddr::V4).or(entry.internal_v6.map(IpAddr::V6));
            Some((entry.tunnel.or(internal)?, (entry.source, name.to_string())))
        })
        .collect();
    let asked: Vec<ping::Way> = addresses.iter().map(|(to, (source, _))| (*source, *to)).collect();
    let answers = tokio::task::spawn_blocking(move || ping::all(&asked)).await;
    let answered = match answers {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => {
            let fix = "set net.ipv4.ping_group_range to \"0 0\" or wider, or give the agent CAP_NET_RAW";
            return vec![Finding::warning("nodes", "", format!("they cannot be asked: {error}"), fix)];
        }
        Err(error) => return vec![Finding::warning("nodes", "", error.to_string(), "see the agent's log")],
    };
    let silent: Vec<_> = addresses.iter().filter(|(address, _)| !answered.contains(address)).collect();
    if silent.is_empty() {
        return vec![Finding::ok("nodes", format!("all {} other nodes answer", addresses.len()))];
    }
    let fix = "see whether it runs, and whether a firewall between keeps ICMP (and the tunnel's packets) away";
    let finding = |(address, (source, name)): (&IpAddr, &(Option<IpAddr>, String))| {
        let from = source.map_or(String::new(), |source| format!(" to {source}"));
        Finding::warning("nodes", name, format!("{address} does not answer{from}"), fix)
    };
    silent.into_iter().map(finding).collect()
}
