//! ADD and CHECK behind another plugin of the chain, which made the interface and delivers its packets: nothing is made and
//! nothing leased, and policies are enforced on the host side of its veth. DEL is an ordinary one: the agent knows.

use std::time::Instant;

use ferrule_api::{
    client::{AgentError, PATIENCE},
    plugin::{ActivateRequest, CheckRequest, HostSide, ReserveRequest, Shaper, host_ifname},
};
use ferrule_netlink::netns::Netns;
use serde_json::Value;

use super::{Context, release::release};
use crate::{
    chained::{self, Sides},
    fault::{ChainedError, Fault},
    spec::{
        args::Args,
        env::{EnvError, Target},
        result::AddResult,
    },
};

/// Whether a result holds the interface that is asked for.
pub(super) fn is_made(previous: &AddResult, target: &Target) -> bool {
    interface(previous, target).is_some()
}

/// Whether a whole chain's result says that another plugin made the interface: ours names its host side.
pub(super) fn is_anothers(result: &AddResult, target: &Target) -> bool {
    result.interface(&host_ifname(&target.id.container_id, &target.id.ifname), None).is_none()
}

fn interface(result: &AddResult, target: &Target) -> Option<usize> {
    result.interface(&target.id.ifname, Some(&target.netns))
}

/// Enforces, and passes the result on as it came.
pub(super) fn add(target: &Target, previous: &AddResult, context: &mut Context) -> Result<Value, Fault> {
    let ifname = || target.id.ifname.clone();
    let args = Args::parse(&target.args).map_err(EnvError::from)?;
    if context.conf.ipam.is_some() {
        return Err(ChainedError::Ipam { ifname: ifname() }.into());
    }
    let addresses = interface(previous, target).map(|index| chained::addresses(previous, index)).unwrap_or_default();
    if addresses.is_empty() {
        return Err(ChainedError::NoAddress { ifname: ifname() }.into());
    }
    let Sides { host, pod } = chained::sides(&Netns::open(&target.netns)?, &target.netns, &target.id.ifname)?;
    let request = ReserveRequest {
        id: target.id.clone(),
        netns: target.netns.clone(),
        network: context.conf.name.clone(),
        pod: args.pod,
        requested_ips: vec![],
        mac: pod.mac.map(|mac| mac.to_string()),
        delegated_ips: Some(addresses),
        shaped: false,
        bandwidth: None,
        shaper: Shaper::Unknown,
        enforce_only: Some(HostSide {
            name: host.name.clone(),
            mac: host.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            mtu: host.mtu,
        }),
    };
    match enforce(target, &request, host.index, context) {
        Ok(()) => Ok(previous.write(context.conf.version)),
        Err(fault) => {
            // A refused reservation holds nothing, and may speak of another ADD's lease.
            if !matches!(&fault, Refused::Reservation(Fault::Agent(AgentError::Refused(_)))) {
                let undone = release(&target.id, context);
                context.notes.extend(undone.err().map(|error| format!("undoing: {error}")));
            }
            Err(fault.into())
        }
    }
}

/// Which of the two requests failed.
enum Refused {
    Reservation(Fault),
    Activation(Fault),
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Reservation(fault) | Refused::Activation(fault) => fault,
        }
    }
}

fn enforce(target: &Target, request: &ReserveRequest, host_ifindex: u32, context: &Context) -> Result<(), Refused> {
    let until = Instant::now() + PATIENCE;
    let reserved = context.agent.reserve(request, until).map_err(|error| Refused::Reservation(error.into()))?;
    if request.enforce_only.as_ref().is_none_or(|side| side.name != reserved.host_ifname) {
        return Err(Refused::Activation(ChainedError::OlderAgent.into()));
    }
    let activation = ActivateRequest { id: target.id.clone(), netns: target.netns.clone(), host_ifindex };
    context.agent.activate(&activation, until).map_err(|error| Refused::Activation(error.into()))
}

/// Looks at what is ours: the other plugin's CHECK looks at its own.
pub(super) fn check(target: &Target, previous: &AddResult, context: &Context) -> Result<(), Fault> {
    // The agent sees the host side only: whether it still leads to the container is seen from there.
    chained::sides(&Netns::open(&target.netns)?, &target.netns, &target.id.ifname)?;
    let addresses = interface(previous, target).map(|index| chained::addresses(previous, index)).unwrap_or_default();
    context.agent.check(&CheckRequest { id: target.id.clone(), netns: target.netns.clone(), addresses })?;
    Ok(())
}
