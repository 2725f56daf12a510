//! What is wrong with an object, as an Event on it (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>).
//!
//! Of what every node sees, one node speaks: a pod's own, a Node itself, and of all else the first by name that has an agent.
//! What keeps a policy from being in force is seen by the nodes with pods of it alone, and what is wrong with the way to a
//! Node by those that look for one: each of them speaks, of a way with its own name.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use ferrule_model::objects::{Identity, Kind, Objects};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::watch;

use super::Cluster;
use crate::{issue::Issue, reconcile::chain, state::NodeState, store::Reader};

/// How often what still stands is said again: Events are forgotten after an hour.
const AGAIN: Duration = Duration::from_secs(1_800);
/// More than this at once helps nobody.
const MOST: usize = 50;
/// What the chart labels agents' pods with.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", "ferrule");

pub(super) async fn run(cluster: Cluster, store: Reader, mut state: watch::Receiver<Arc<NodeState>>) {
    let reporter = Reporter { controller: "ferrule.dev/agent".into(), instance: Some(cluster.node_name.clone()) };
    let recorder = Recorder::new(cluster.client.clone(), reporter);
    let mut told: HashMap<Issue, Instant> = HashMap::new();
    // Refused once, it is refused for each: the first is worth a warning.
    let mut failing = false;
    loop {
        let issues = state.borrow_and_update().issues.clone();
        told.retain(|issue, _| issues.contains(issue));
        let objects = Arc::clone(&store.clone().snapshot().objects);
        let new = issues.into_iter().filter(|issue| told.get(issue).is_none_or(|when| when.elapsed() > AGAIN));
        let new: Vec<_> = new.filter_map(|issue| Some((issue.object()?, issue))).take(MOST).collect();
        let speaking = if new.is_empty() { BTreeSet::new() } else { speaking(&objects) };
        for (object, issue) in new {
            if is_ours(&issue, &object, &objects, &speaking, &cluster.node_name) {
                let published =
                    recorder.publish(&event(words(&issue, &cluster.node_name)), &reference(&object, &objects)).await;
                cluster.health.told("events", published.as_ref().err());
                if let Err(error) = published {
                    let (issue, error) = (issue.to_string(), chain(&error));
                    if failing {
                        tracing::debug!(issue, error, "an Event cannot be written; tried again");
                    } else {
                        tracing::warn!(issue, error, "an Event cannot be written; tried again");
                    }
                    failing = true;
                    continue;
                }
                failing = false;
            }
            told.insert(issue, Instant::now());
        }
        let waited = tokio::time::timeout(AGAIN, state.changed()).await;
        if matches!(waited, Ok(Err(_))) {
            return;
        }
    }
}

/// The nodes with an agent in a pod; all nodes where agents run otherwise.
fn speaking(objects: &Objects) -> BTreeSet<&str> {
    let agents = objects.pods.values().filter(|pod| pod.host_network && pod.labels.get(LABEL.0) == Some(LABEL.1));
    let with: BTreeSet<&str> = agents.filter_map(|pod| pod.node.as_deref()).collect();
    if with.is_empty() { objects.nodes.keys().map(|name| &**name).collect() } else { with }
}

fn event(words: String) -> Event {
    Event {
        type_: EventType::Warning,
        reason: "NotInForce".into(),
        note: Some(words),
        action: "Enforce".into(),
        secondary: None,
    }
}

/// What an Event says of an issue that the node `own` found.
fn words(issue: &Issue, own: &str) -> String {
    let words = issue.words();
    if issue.is_seen_from_elsewhere() { format!("seen from node {own}: {words}") } else { words }
}

/// Whether the node `own`, which found it, speaks of it.
fn is_ours(issue: &Issue, object: &Identity, objects: &Objects, speaking: &BTreeSet<&str>, own: &str) -> bool {
    let name = &object.name;
    match (object.kind, issue) {
        // Whoever comes first by name may have another way, and not find it.
        _ if issue.is_seen_from_elsewhere() => true,
        (Kind::Node, _) if speaking.contains(&*name.name) => &*name.name == own,
        (Kind::Pod, _) => objects.pods.get(name).and_then(|pod| pod.node.as_deref()) == Some(own),
        (Kind::NetworkPolicy, Issue::Policies(_)) => true,
        _ => speaking.first() == Some(&own),
    }
}

fn reference(object: &Identity, objects: &Objects) -> ObjectReference {
    let Identity { kind, name } = object;
    let pod = objects.pods.get(name).filter(|_| *kind == Kind::Pod);
    ObjectReference {
        api_version: Some(kind.api_version().into()),
        kind: Some(kind.name().into()),
        // What has no namespace of its own has its Events in the default one.
        namespace: Some(&*name.namespace).filter(|namespace| !namespace.is_empty()).map(Into::into),
        name: Some((*name.name).into()),
        uid: pod.map(|pod| pod.uid.clone()).filter(|uid| !uid.is_empty()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use ferrule_model::{cidr::Family, desired, objects::ObjectName, policy, service, testing::text};

    use super::*;
    use crate::source::{Level, Note};

    const NODES: [&str; 3] = ["a", "b", "c"];

    fn scoped(kind: Kind, name: &str) -> Identity {
        Identity::new(kind, &ObjectName::new("x", name))
    }

    fn of_node(name: &str, reason: desired::Reason) -> Issue {
        Issue::Node(desired::Issue { object: Identity::cluster_scoped(Kind::Node, name), reason })
    }

    fn of_policies(object: Identity) -> Issue {
        let reason = policy::Reason::TablesFull { capacity: 1, in_force: policy::InForceStill::Before };
        Issue::Policies(policy::Issue { subject: policy::Subject::Object(object), reason })
    }

    fn of_source(object: Identity) -> Issue {
        let (file, message) = ("kubernetes".to_owned(), "bad".to_owned());
        Issue::Source(Note { level: Level::Error, file, line: None, object: Some(object), message })
    }

    fn of_service() -> Issue {
        let reason = service::Reason::Sctp { port: 80 };
        Issue::Services(service::Issue { service: ObjectName::new("x", "y"), reason })
    }

    /// Which nodes speak of an issue, if they see it.
    fn check(objects: &str, issue: &Issue, expected: &[&str]) {
        let objects = text::cluster(objects).objects;
        let (object, speaking) = (issue.object().unwrap(), speaking(&objects));
        let all = NODES.into_iter().filter(|own| is_ours(issue, &object, &objects, &speaking, own));
        assert_eq!(all.collect::<Vec<_>>(), expected, "{issue}");
    }

    #[test]
    fn one_node_speaks() {
        let objects = "node a 192.0.2.1\nnode b 192.0.2.2\nnode c 192.0.2.3\npod x/p b 10.0.0.1";
        check(objects, &of_policies(scoped(Kind::Pod, "p")), &["b"]);
        check(objects, &of_source(scoped(Kind::Pod, "p")), &["b"]);
        check(objects, &of_policies(scoped(Kind::Pod, "gone")), &[]);
        check(objects, &of_node("b", desired::Reason::NoPodCidr), &["b"]);
        check(objects, &of_policies(scoped(Kind::NetworkPolicy, "y")), &NODES);
        check(objects, &of_source(scoped(Kind::NetworkPolicy, "y")), &["a"]);
        check(objects, &of_service(), &["a"]);
    }

    #[test]
    fn each_node_speaks_of_its_own_way_to_another_and_names_itself() {
        let objects = "node a 192.0.2.1\nnode b 192.0.2.2\nnode c 192.0.2.3";
        for reason in [
            desired::Reason::NoCommonFamily,
            desired::Reason::NoPath { address: [192, 0, 2, 1].into() },
            desired::Reason::NoNextHop { family: Family::V6 },
            desired::Reason::TwoDevices { v4: 2, v6: 3 },
            desired::Reason::NodesFull { capacity: 1 },
        ] {
            check(objects, &of_node("a", reason), &NODES);
        }
        let no_path = of_node("a", desired::Reason::NoPath { address: [192, 0, 2, 1].into() });
        let expected = "seen from node b: no route to its InternalIP 192.0.2.1, so";
        assert!(words(&no_path, "b").starts_with(expected), "{}", words(&no_path, "b"));
        let no_cidr = of_node("a", desired::Reason::NoPodCidr);
        assert_eq!(words(&no_cidr, "a"), no_cidr.words());
    }

    #[test]
    fn a_node_without_an_agent_is_spoken_of_and_does_not_speak() {
        let objects = "node a 192.0.2.1\nnode b 192.0.2.2\nnode c 192.0.2.3\n\
                       pod s/one b 192.0.2.2 app.kubernetes.io/name=ferrule host\n\
                       pod s/two c 192.0.2.3 app.kubernetes.io/name=ferrule host";
        check(objects, &of_node("a", desired::Reason::NoPodCidr), &["b"]);
        check(objects, &of_node("c", desired::Reason::NoPodCidr), &["c"]);
        check(objects, &of_service(), &["b"]);
    }

    #[test]
    fn an_event_names_its_object() {
        let objects = text::cluster("node a 192.0.2.1").objects;
        let named = |object: &Identity| {
            let ObjectReference { api_version, kind, namespace, name, .. } = reference(object, &objects);
            [api_version, kind, namespace, name].map(Option::unwrap_or_default).join(" ")
        };
        assert_eq!(named(&Identity::cluster_scoped(Kind::Node, "n1")), "v1 Node  n1");
        assert_eq!(named(&scoped(Kind::NetworkPolicy, "y")), "networking.k8s.io/v1 NetworkPolicy x y");
        assert_eq!(named(&scoped(Kind::EndpointSlice, "z")), "discovery.k8s.io/v1 EndpointSlice x z");
    }
}
