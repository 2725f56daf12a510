//! `ferrule policy explain`: may this pass, and which rules say so?

use std::net::IpAddr;

use ferrule_api::view;
use ferrule_model::{
    objects::{Direction, ObjectName},
    oracle::{self, Exemption, Packet, Sender},
};

use super::{Moment, live, ports};
use crate::policy::Policy;

/// Answers, or says in a sentence why it cannot.
///
/// # Errors
/// A sentence: an end that is not known, a protocol that needs a port, no end on this node, maps that cannot be read.
pub fn explain(moment: &Moment, policy: &Policy, question: &view::PolicyQuery) -> Result<view::Explained, String> {
    let v6 = question.family == Some(6);
    let source = address(moment, &question.source, v6)?;
    let destination = address(moment, &question.destination, v6 || source.is_ipv6())?;
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(format!("{source} and {destination} are of two families; give addresses of one"));
    }
    let name = question.protocol.clone().unwrap_or_else(|| if question.port.is_some() { "tcp" } else { "icmp" }.into());
    let traffic = ports::traffic(&name, question.port, 0).ok_or_else(|| {
        format!("{name:?}: give tcp, udp or sctp with --port, or icmp or another protocol's number without")
    })?;
    let asked = ports::number(&traffic);
    let world = moment.world(&moment.objects);
    let sender = if world.endpoint_at(source).is_some() {
        Sender::LocalPod
    } else if moment.own_addresses.contains(&source) {
        Sender::NodeItself
    } else {
        Sender::Forwarded
    };
    let judgement = oracle::judge(&world, &Packet { source, destination, traffic }, sender);
    let ends = [
        (judgement.egress.as_ref(), Direction::Egress, destination),
        (judgement.ingress.as_ref(), Direction::Ingress, source),
    ];
    let mut explained = Vec::new();
    for (end, direction, peer) in ends {
        let Some(end) = end else { continue };
        let live = match end.exempt {
            Some(_) => live::Live { allowed: true, rule: None },
            None => live::ask(policy, end.endpoint, direction, peer, asked)
                .map_err(|error| format!("the maps cannot be read: {error}"))?,
        };
        let pod = world.endpoints.iter().find(|one| one.index == end.endpoint).and_then(|one| one.pod.as_ref());
        explained.push(view::ExplainedEnd {
            direction: shown(direction).into(),
            endpoint: end.endpoint,
            pod: pod.map(ToString::to_string),
            isolated_by: end.selected_by.iter().map(ToString::to_string).collect(),
            allowed_by: end
                .by
                .iter()
                .map(|rule| format!("{} {}[{}]", rule.policy, shown(rule.direction), rule.index))
                .collect(),
            exempt: end.exempt.map(|exempt| in_words(exempt).to_owned()),
            allowed: end.allowed,
            live_allowed: live.allowed,
            live_rule: live.rule,
        });
    }
    if explained.is_empty() {
        return Err(format!(
            "neither {source} nor {destination} is a pod of this node; ask on the node of one of them"
        ));
    }
    Ok(view::Explained {
        source: source.to_string(),
        destination: destination.to_string(),
        traffic: asked.map_or_else(|| name.clone(), |(_, port)| format!("{name} {port}")),
        allowed: explained.iter().all(|end| end.allowed),
        agrees: explained.iter().all(|end| end.allowed == end.live_allowed),
        ends: explained,
    })
}

pub(super) const fn shown(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

const fn in_words(exempt: Exemption) -> &'static str {
    match exempt {
        Exemption::Itself => "a pod reaches itself",
        Exemption::FromNode => "its own node reaches it",
        Exemption::ToNode => "it reaches its own node",
    }
}

/// The address of an end.
fn address(moment: &Moment, text: &str, v6: bool) -> Result<IpAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let family = if v6 { "IPv6" } else { "IPv4" };
    let of = |addresses: &[IpAddr], who: &str| {
        let found = addresses.iter().copied().find(|ip| ip.is_ipv6() == v6);
        found.or_else(|| addresses.first().copied()).ok_or_else(|| format!("{who} has no {family} address"))
    };
    if text == "node" {
        return of(&moment.own_addresses, "this node");
    }
    let Some((namespace, name)) = text.split_once('/') else {
        return Err(format!("{text:?} is neither an address, nor namespace/name of a pod, nor \"node\""));
    };
    let name = ObjectName::new(namespace, name);
    if let Some(endpoint) = moment.endpoints.iter().find(|endpoint| endpoint.pod.as_ref() == Some(&name)) {
        return of(&endpoint.addresses, text);
    }
    match moment.objects.pods.get(&name) {
        Some(pod) => of(&pod.ips, text),
        None => Err(format!("there is no pod {text}, neither on this node nor among the objects")),
    }
}
