//! CHECK: what `prevResult` says is compared with the container's network namespace here; the host's half (lease, link,
//! programs, routes, map entries) is the agent's to know. All damage is named at once.

use std::net::IpAddr;

use ferrule_api::plugin::{CheckRequest, host_ifname};
use ferrule_netlink::{Netlink, mac::Mac, netns::Netns, route::RouteEntry};

use super::{Context, enforce};
use crate::{
    fault::Fault,
    spec::{
        env::Target,
        result::{AddResult, Interface, Ip},
        version::Version,
    },
    wiring::everywhere,
};

pub(super) fn check(target: &Target, context: &mut Context) -> Result<(), Fault> {
    context.require("CHECK", Version::V0_4_0)?;
    let previous = context.conf.prev_result().ok_or(Fault::Needs { command: "CHECK", field: "prevResult" })?;
    let previous = AddResult::read("prevResult", previous).map_err(Fault::PrevResult)?;
    if enforce::is_made(&previous, target) && enforce::is_anothers(&previous, target) {
        return enforce::check(target, &previous, context);
    }
    let expected = Expected::of(&previous, target)?;
    let delegate = context.delegate()?;

    let damage = inspect(&expected, &mut Netns::open(&target.netns)?.netlink()?)?;
    if !damage.is_empty() {
        return Err(Fault::Damaged { ifname: target.id.ifname.clone(), damage });
    }
    if let Some(delegate) = delegate {
        delegate.run(&context.conf.raw)?;
    }
    let addresses = expected.ips.iter().map(|ip| ip.address.ip()).collect();
    context.agent.check(&CheckRequest { id: target.id.clone(), netns: target.netns.clone(), addresses })?;
    Ok(())
}

/// What `prevResult` says of the attachment.
struct Expected<'a> {
    pod: &'a Interface,
    ips: Vec<&'a Ip>,
    /// The host side's MAC: the gateway's, as the container sees it.
    host_mac: Option<Mac>,
}

impl<'a> Expected<'a> {
    fn of(previous: &'a AddResult, target: &Target) -> Result<Self, Fault> {
        let missing = |damage: String| Fault::Damaged { ifname: target.id.ifname.clone(), damage: vec![damage] };
        let index = previous
            .interface(&target.id.ifname, Some(&target.netns))
            .ok_or_else(|| missing(format!("prevResult has no such interface in {}", target.netns)))?;
        let ips: Vec<_> = previous.ips.iter().filter(|ip| ip.interface == Some(index)).collect();
        if ips.is_empty() {
            return Err(missing("prevResult gives it no address".into()));
        }
        let host = previous.interface(&host_ifname(&target.id.container_id, &target.id.ifname), None);
        let host_mac =
            host.and_then(|host| previous.interfaces[host].mac.as_deref()).and_then(|mac| Mac::parse(mac).ok());
        Ok(Self { pod: &previous.interfaces[index], ips, host_mac })
    }
}

/// All that is not as expected, a clause each.
fn inspect(expected: &Expected<'_>, netlink: &mut Netlink) -> Result<Vec<String>, Fault> {
    let Some(link) = netlink.link(&expected.pod.name)? else {
        return Ok(vec!["the interface is gone".into()]);
    };
    let mut damage = Vec::new();
    if link.kind.as_deref() != Some("veth") {
        damage.push(format!("it is of kind {:?}, not veth", link.kind.unwrap_or_default()));
    }
    if !link.up {
        damage.push("it is down".into());
    }
    let mac = expected.pod.mac.as_deref().and_then(|mac| Mac::parse(mac).ok());
    if let Some(mac) = mac
        && link.mac != Some(mac)
    {
        damage.push(format!("its MAC is {}, not {mac}", link.mac.map(|mac| mac.to_string()).unwrap_or_default()));
    }
    if let Some(mtu) = expected.pod.mtu
        && link.mtu != mtu
    {
        damage.push(format!("its MTU is {}, not {mtu}", link.mtu));
    }
    let addresses = netlink.addresses(link.index)?;
    for ip in &expected.ips {
        match addresses.iter().find(|address| address.network == ip.address) {
            None => damage.push(format!("it lost the address {}", ip.address)),
            Some(address) if address.tentative => damage.push(format!("the address {} is tentative", ip.address)),
            Some(_) => {}
        }
        if let Some(gateway) = ip.gateway {
            damage.extend(inspect_gateway(expected, gateway, link.index, netlink)?);
        }
    }
    Ok(damage)
}

fn inspect_gateway(
    expected: &Expected<'_>,
    gateway: IpAddr,
    index: u32,
    netlink: &mut Netlink,
) -> Result<Vec<String>, Fault> {
    let mut damage = Vec::new();
    let routes = netlink.routes(gateway)?;
    let through = |wanted: &dyn Fn(&RouteEntry) -> bool| routes.iter().any(|(at, route)| *at == index && wanted(route));
    if !through(&|route| route.destination == gateway.into() && route.gateway.is_none()) {
        damage.push(format!("it lost the route to its gateway {gateway}"));
    }
    if !through(&|route| route.destination == everywhere(gateway) && route.gateway == Some(gateway)) {
        damage.push(format!("it lost the default route through {gateway}"));
    }
    match netlink.neighbour(index, gateway)? {
        Some(entry) if entry.permanent && (expected.host_mac.is_none() || entry.mac == expected.host_mac) => {}
        Some(_) => damage.push(format!("the neighbour entry of its gateway {gateway} is another")),
        None => damage.push(format!("it lost the neighbour entry of its gateway {gateway}")),
    }
    Ok(damage)
}
