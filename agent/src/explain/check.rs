//! `ferrule policy check`: what would change for this node's pods and their flows if these manifests were applied.

use std::{collections::BTreeMap, sync::Arc};

use ferrule_api::view;
use ferrule_common::flow::{Flow, FlowKey};
use ferrule_model::{
    objects::{Direction, Objects},
    oracle::{self, Packet, Sender, World},
};
use ferrule_source::{decode::Object, manifest, manifest::Item};

use super::{Moment, ports, verdict::shown};
use crate::flows::{protocol, shown as in_words};

/// Reads manifests, and compares.
#[must_use]
pub fn check(moment: &Moment, manifests: &BTreeMap<String, String>, flows: &[(FlowKey, Flow)]) -> view::Checked {
    let mut checked = view::Checked { flows_seen: flows.len(), ..view::Checked::default() };
    let after = overlaid(&moment.objects, manifests, &mut checked);
    let (old, new) = (moment.world(&moment.objects), moment.world(&after));
    for endpoint in &moment.endpoints {
        for direction in [Direction::Ingress, Direction::Egress] {
            let (before, after) = (isolating(&old, endpoint, direction), isolating(&new, endpoint, direction));
            if before != after {
                let pod =
                    endpoint.pod.as_ref().map_or_else(|| format!("endpoint {}", endpoint.index), ToString::to_string);
                let isolated_by = view::Changed { before, after };
                checked.pods.push(view::PodChange { pod, direction: shown(direction).into(), isolated_by });
            }
        }
    }
    for (key, flow) in flows {
        let shown = in_words(key, flow, flow.seen, 1);
        let Some((packet, sender)) = opener(&old, &shown, key) else { continue };
        let (before, after) = (oracle::judge(&old, &packet, sender), oracle::judge(&new, &packet, sender));
        if before.passes() != after.passes() {
            let by = after.egress.iter().chain(&after.ingress).flat_map(|end| &end.by);
            let by =
                by.map(|rule| format!("{} {}[{}]", rule.policy, self::shown(rule.direction), rule.index)).collect();
            let allowed = view::Changed { before: before.passes(), after: after.passes() };
            checked.flows.push(view::FlowChange { flow: shown, allowed, by });
        }
    }
    checked
}

/// The objects with those of the manifests in their place.
fn overlaid(objects: &Objects, manifests: &BTreeMap<String, String>, checked: &mut view::Checked) -> Objects {
    let mut objects = objects.clone();
    for (name, text) in manifests {
        let items = if name.ends_with(".json") { manifest::json(text) } else { manifest::yaml(text) };
        let items = match items {
            Ok(items) => items,
            Err(error) => {
                let line = error.line.map_or_else(String::new, |line| format!(":{line}"));
                checked.problems.push(format!("{name}{line}: {error}"));
                continue;
            }
        };
        for item in items {
            match item {
                Item::Object(identity, object) => {
                    checked.objects.push(identity.to_string());
                    match object {
                        Object::Node(one) => _ = objects.nodes.insert(Arc::clone(&one.name), Arc::new(one)),
                        Object::Namespace(one) => _ = objects.namespaces.insert(Arc::clone(&one.name), Arc::new(one)),
                        Object::Pod(one) => _ = objects.pods.insert(one.name.clone(), Arc::new(one)),
                        Object::NetworkPolicy(one) => _ = objects.policies.insert(one.name.clone(), Arc::new(one)),
                        Object::Service(one) => _ = objects.services.insert(one.name.clone(), Arc::new(one)),
                        Object::EndpointSlice(one) => {
                            objects.endpoint_slices.insert(one.name.clone(), Arc::new(one));
                        }
                    }
                }
                Item::Unused { kind } => checked.problems.push(format!("{name}: nothing here uses {kind}")),
                Item::Bad { identity, error, .. } => {
                    let object = identity.map_or_else(String::new, |identity| format!("{identity}: "));
                    checked.problems.push(format!("{name}: {object}{error}"));
                }
            }
        }
    }
    objects
}

/// The policies that isolate an endpoint.
fn isolating(world: &World<'_>, endpoint: &oracle::Endpoint, direction: Direction) -> Vec<String> {
    let Some(pod) = world.pod_of(endpoint) else { return Vec::new() };
    let policies = world.objects.policies.values();
    let isolating = policies.filter(|policy| policy.isolates.contains(&direction) && policy.selects(pod));
    isolating.map(|policy| policy.name.to_string()).collect()
}

/// The packet that would open a flow.
fn opener(world: &World<'_>, shown: &view::Flow, key: &FlowKey) -> Option<(Packet, Sender)> {
    let (source, destination) = (shown.source.parse().ok()?, shown.destination.parse().ok()?);
    let port = matches!(key.protocol, 6 | 17 | 132).then_some(shown.destination_port);
    let traffic = ports::traffic(&protocol(key.protocol), port, shown.source_port)?;
    let sender = if world.endpoint_at(source).is_some() {
        Sender::LocalPod
    } else if world.own_addresses.contains(&source) {
        Sender::NodeItself
    } else {
        Sender::Forwarded
    };
    Some((Packet { source, destination, traffic }, sender))
}
