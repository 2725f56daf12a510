//! An event in words: whose packet it was, and which policies had a say in it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ferrule_api::view;
use ferrule_common::{
    Drop, Program,
    event::{ALLOWED, EGRESS, Event, INGRESS},
};
use ferrule_model::objects::{Direction, ObjectName, Objects};
use nix::time::{ClockId, clock_gettime};

use crate::flows::protocol;

/// Whose each address is.
#[derive(Debug, Default)]
pub struct Names {
    objects: Arc<Objects>,
    pods: HashMap<IpAddr, ObjectName>,
    endpoints: HashMap<u32, ObjectName>,
}

impl Names {
    /// Of one moment; `leased` are this node's endpoints, who count before what objects say.
    #[must_use]
    pub fn new(objects: Arc<Objects>, leased: &[(u32, IpAddr, ObjectName)]) -> Self {
        let networked = objects.pods.values().filter(|pod| pod.is_networked());
        let mut pods: HashMap<IpAddr, ObjectName> =
            networked.flat_map(|pod| pod.ips.iter().map(|ip| (*ip, pod.name.clone()))).collect();
        pods.extend(leased.iter().map(|(_, address, name)| (*address, name.clone())));
        let endpoints = leased.iter().map(|(index, _, name)| (*index, name.clone())).collect();
        Self { objects, pods, endpoints }
    }

    /// Whether these are still the objects that it was made of.
    #[must_use]
    pub fn is_of(&self, objects: &Arc<Objects>) -> bool {
        Arc::ptr_eq(&self.objects, objects)
    }

    /// Whether it knows an endpoint; 0 is none.
    #[must_use]
    pub fn knows(&self, endpoint: u32) -> bool {
        endpoint == 0 || self.endpoints.contains_key(&endpoint)
    }

    /// The pod that has an address.
    #[must_use]
    pub fn pod(&self, address: IpAddr) -> Option<&ObjectName> {
        self.pods.get(&address)
    }

    fn end(&self, address: IpAddr, port_be: u16) -> view::EventEnd {
        let pod = self.pod(address).map(ToString::to_string);
        view::EventEnd { address: address.to_string(), port: u16::from_be(port_be), pod }
    }

    /// The policies that isolate a pod in a direction.
    fn policies(&self, pod: &ObjectName, direction: Direction) -> Vec<String> {
        let Some(pod) = self.objects.pods.get(pod) else { return Vec::new() };
        let policies = self.objects.policies.values();
        let selecting = policies.filter(|policy| policy.isolates.contains(&direction) && policy.selects(pod));
        selecting.map(|policy| policy.name.to_string()).collect()
    }

    /// An event in words; `rule` names rules by their numbers.
    #[must_use]
    pub fn show(&self, event: &Event, rule: impl FnOnce(u32) -> Option<String>) -> view::Event {
        let (source, destination) = (event.source.to_ip(), event.destination.to_ip());
        let direction = match event.direction {
            INGRESS => Some(Direction::Ingress),
            EGRESS => Some(Direction::Egress),
            _ => None,
        };
        let pod = self.endpoints.get(&event.endpoint);
        let reason = Drop::ALL.iter().find(|reason| **reason as u32 == event.reason);
        let decided_by_policy = [ALLOWED, Drop::PolicyIngress as u32, Drop::PolicyEgress as u32];
        let policies = match (pod, direction) {
            (Some(pod), Some(direction)) if decided_by_policy.contains(&event.reason) => self.policies(pod, direction),
            _ => Vec::new(),
        };
        let program = Program::ALL.into_iter().find(|program| *program as u32 == u32::from(event.program));
        view::Event {
            time_ms: wall_clock(event.time_ns),
            verdict: if event.reason == ALLOWED { "allowed" } else { "dropped" }.into(),
            reason: reason.map_or_else(String::new, |reason| reason.name().into()),
            description: reason.map_or_else(String::new, |reason| reason.describe().trim().into()),
            program: program.map_or_else(String::new, |program| program.name().into()),
            direction: match direction {
                Some(Direction::Ingress) => "ingress".into(),
                Some(Direction::Egress) => "egress".into(),
                None => String::new(),
            },
            endpoint: event.endpoint,
            pod: pod.map(ToString::to_string),
            policies,
            rule: (event.rule != 0).then(|| rule(event.rule)).flatten(),
            source: self.end(source, event.source_port_be),
            destination: self.end(destination, event.destination_port_be),
            protocol: if event.protocol == 0 { String::new() } else { protocol(event.protocol) },
            bytes: event.bytes,
            left_out: event.left_out,
        }
    }
}

/// Milliseconds since 1970 of a moment of the monotonic clock.
fn wall_clock(time_ns: u64) -> u64 {
    let since_start = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    let age = since_start.saturating_sub(Duration::from_nanos(time_ns));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.saturating_sub(age).as_millis()).unwrap_or(u64::MAX)
}
