//! ADD: validate, reserve, wire, activate. What is held when something fails is given back in reverse. Where another plugin
//! of the chain made the interface, [`super::enforce`] takes its place.

use std::time::Instant;

use ferrule_api::{
    client::{AgentError, PATIENCE},
    plugin::{ActivateRequest, ReserveRequest, ReserveResponse, Shaper},
};
use ferrule_netlink::{Netlink, netns::Netns};
use serde_json::Value;

use super::{Context, enforce, release::release};
use crate::{
    delegate::Delegate,
    fault::Fault,
    shaper,
    spec::{
        args::Args,
        config::Wishes,
        env::{EnvError, Target},
        result::{AddResult, Dns, Interface, Ip, Route},
    },
    wiring::{self, Hands, Step, everywhere},
};

pub(super) fn add(target: &Target, context: &mut Context) -> Result<Value, Fault> {
    if let Some(previous) = previous(context)?.filter(|previous| enforce::is_made(previous, target)) {
        return enforce::add(target, &previous, context);
    }
    let request = Request::validate(target, context)?;
    let mut held = Vec::new();
    let added = request.fulfil(target, context, &mut held);
    if added.is_err() {
        give_back(target, context, held);
    }
    added.map(|result| result.write(context.conf.version))
}

fn previous(context: &Context) -> Result<Option<AddResult>, Fault> {
    let read = context.conf.prev_result().map(|value| AddResult::read("prevResult", value));
    read.transpose().map_err(Fault::PrevResult)
}

/// An ADD that nothing stands against.
struct Request {
    netns: Netns,
    /// A socket in the container's network namespace.
    pod: Netlink,
    host: Netlink,
    args: Args,
    wishes: Wishes,
    previous: Option<AddResult>,
    delegate: Option<Delegate>,
}

/// What an ADD holds while it goes on.
enum Held {
    /// The IPAM plugin's addresses.
    Delegated(Delegate),
    /// The agent's lease.
    Lease,
    /// The veth, by its host side's name.
    Veth(String),
}

impl Request {
    fn validate(target: &Target, context: &Context) -> Result<Self, Fault> {
        let conf = &context.conf;
        let args = Args::parse(&target.args).map_err(EnvError::from)?;
        let wishes = conf.wishes(&args)?;
        let previous = previous(context)?;
        let (ifname, netns) = (&target.id.ifname, &target.netns);
        let delegate = context.delegate()?;
        let opened = Netns::open(netns)?;
        let mut pod = opened.netlink()?;
        if pod.link(ifname)?.is_some() {
            return Err(Fault::IfnameTaken { ifname: ifname.clone(), netns: netns.clone() });
        }
        Ok(Self { netns: opened, pod, host: Netlink::open()?, args, wishes, previous, delegate })
    }

    fn fulfil(mut self, target: &Target, context: &Context, held: &mut Vec<Held>) -> Result<AddResult, Fault> {
        let until = Instant::now() + PATIENCE;
        let delegated = match &self.delegate {
            None => None,
            Some(delegate) => {
                // A plugin that fails may hold an address nevertheless, and its DEL minds no missing one.
                held.push(Held::Delegated(delegate.clone()));
                Some(delegate.add(&context.conf.raw)?)
            }
        };
        let request = ReserveRequest {
            id: target.id.clone(),
            netns: target.netns.clone(),
            network: context.conf.name.clone(),
            pod: self.args.pod.take(),
            requested_ips: self.wishes.ips.clone(),
            mac: self.wishes.mac.map(|mac| mac.to_string()),
            delegated_ips: delegated.as_ref().map(|result| result.ips.iter().map(|ip| ip.address.ip()).collect()),
            shaped: self.wishes.bandwidth.is_some(),
            bandwidth: self.wishes.bandwidth,
            shaper: match self.wishes.bandwidth {
                Some(_) => shaper::find(&self.wishes.config_dir, &context.conf.name),
                None => Shaper::Unknown,
            },
            enforce_only: None,
        };
        let reserved = context.agent.reserve(&request, until).inspect_err(|error| {
            // A refusal holds nothing, and may speak of another ADD's lease; an answer that got lost may hold one.
            if !matches!(error, AgentError::Refused(_)) {
                held.push(Held::Lease);
            }
        })?;
        held.push(Held::Lease);

        let steps = wiring::plan(&reserved, &target.id.ifname, &self.families_routed()?)?;
        let mut hands = Hands::new(self.host, self.pod, &self.netns);
        for step in &steps {
            let activate = |host_ifindex| {
                let request = ActivateRequest { id: target.id.clone(), netns: target.netns.clone(), host_ifindex };
                context.agent.activate(&request, until).map_err(Fault::from)
            };
            match (hands.execute(step, activate), step) {
                (Ok(()), Step::Veth(veth)) => held.push(Held::Veth(veth.host_name.clone())),
                (Ok(()), _) => {}
                (Err(Fault::Netlink(error)), Step::Veth(_)) if error.is(libc::EEXIST) => {
                    // Another ADD of this attachment was quicker; lease and addresses are its own.
                    held.clear();
                    return Err(error.into());
                }
                (Err(fault), _) => return Err(fault),
            }
        }
        let result = result(target, &reserved, delegated, self.wishes.dns);
        Ok(match self.previous {
            None => result,
            Some(mut previous) => {
                previous.append(result);
                previous
            }
        })
    }

    /// The families whose default route another interface of the container has.
    fn families_routed(&mut self) -> Result<Vec<wiring::Family>, Fault> {
        let mut families = Vec::new();
        for family in [wiring::Family::V4, wiring::Family::V6] {
            let any = family.unspecified();
            let default = everywhere(any);
            let routes = self.pod.routes(any)?;
            if routes
                .iter()
                .any(|(_, route)| route.destination == default && route.table == ferrule_netlink::route::MAIN)
            {
                families.push(family);
            }
        }
        Ok(families)
    }
}

/// Gives back in reverse; what cannot be given back is noted, and the agent's own cleaning finds it.
fn give_back(target: &Target, context: &mut Context, held: Vec<Held>) {
    for one in held.into_iter().rev() {
        let outcome = match one {
            Held::Veth(name) => {
                Netlink::open().and_then(|mut netlink| netlink.delete_link(&name)).map(drop).map_err(Fault::from)
            }
            Held::Lease => release(&target.id, context),
            Held::Delegated(delegate) => delegate.delete(&context.conf.raw).map_err(Fault::from),
        };
        context.notes.extend(outcome.err().map(|error| format!("undoing: {error}")));
    }
}

/// What ADD reports: the host side first, then the container's, which the addresses name.
fn result(target: &Target, reserved: &ReserveResponse, delegated: Option<AddResult>, wished: Dns) -> AddResult {
    let host = Interface {
        name: reserved.host_ifname.clone(),
        mac: Some(reserved.host_mac.clone()),
        mtu: Some(reserved.mtu),
        ..Interface::default()
    };
    let pod = Interface {
        name: target.id.ifname.clone(),
        mac: Some(reserved.pod_mac.clone()),
        mtu: Some(reserved.mtu),
        sandbox: Some(target.netns.clone()),
        ..Interface::default()
    };
    let ips = reserved.addresses.iter().map(|one| Ip {
        interface: Some(1),
        address: one.address,
        gateway: Some(one.gateway),
        other: serde_json::Map::new(),
    });
    let delegated = delegated.unwrap_or_default();
    let mut routes: Vec<_> =
        reserved.addresses.iter().map(|one| Route::new(everywhere(one.gateway), Some(one.gateway))).collect();
    let own: Vec<_> = routes.iter().map(|route| route.dst).collect();
    routes.extend(delegated.routes.into_iter().filter(|route| !own.contains(&route.dst)));
    let dns = if wished == Dns::default() { delegated.dns } else { wished };
    AddResult { interfaces: vec![host, pod], ips: ips.collect(), routes, dns, other: serde_json::Map::new() }
}
