//! What is wrong with an object, as an Event on it (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>).
//!
//! Of what every node sees, one node speaks: a pod's own, a Node itself, and of all else the first by name that has an agent.
//! What keeps a policy from being in force is seen by the nodes with pods of it alone.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use ferrule_model::objects::{ObjectName, Objects};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::watch;

use super::Cluster;
use crate::{reconcile::chain, state::NodeState, store::Reader};

/// How often what still stands is said again: Events are forgotten after an hour.
const AGAIN: Duration = Duration::from_secs(1_800);
/// More than this at once helps nobody.
const MOST: usize = 50;
/// What the chart labels agents' pods with.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", "ferrule");
const KINDS: [(&str, &str); 6] = [
    ("Pod", "v1"),
    ("Node", "v1"),
    ("Namespace", "v1"),
    ("Service", "v1"),
    ("NetworkPolicy", "networking.k8s.io/v1"),
    ("EndpointSlice", "discovery.k8s.io/v1"),
];

pub(super) async fn run(cluster: Cluster, store: Reader, mut state: watch::Receiver<Arc<NodeState>>) {
    let reporter = Reporter { controller: "ferrule.dev/agent".into(), instance: Some(cluster.node_name.clone()) };
    let recorder = Recorder::new(cluster.client.clone(), reporter);
    let mut told: HashMap<String, Instant> = HashMap::new();
    // Refused once, it is refused for each: the first is worth a warning.
    let mut failing = false;
    loop {
        let issues = state.borrow_and_update().issues.clone();
        told.retain(|issue, _| issues.contains(issue));
        let objects = Arc::clone(&store.clone().snapshot().objects);
        let new = issues.into_iter().filter(|issue| told.get(issue).is_none_or(|when| when.elapsed() > AGAIN));
        let new: Vec<String> = new.take(MOST).collect();
        let speaking = if new.is_empty() { BTreeSet::new() } else { speaking(&objects) };
        for issue in new {
            let Some((subject, words)) = Subject::read(&issue) else { continue };
            if subject.is_ours(&objects, &speaking, &cluster.node_name) {
                let published = recorder.publish(&event(words), &subject.reference(&objects)).await;
                cluster.health.told("events", published.as_ref().err());
                if let Err(error) = published {
                    let error = chain(&error);
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

fn event(words: &str) -> Event {
    Event {
        type_: EventType::Warning,
        reason: "NotInForce".into(),
        note: Some(words.into()),
        action: "Enforce".into(),
        secondary: None,
    }
}

/// The object that an issue begins with: `Pod shop/web-0: …`.
#[derive(Debug, PartialEq, Eq)]
struct Subject<'a> {
    kind: &'static str,
    version: &'static str,
    /// The namespace is empty where there is none.
    namespace: &'a str,
    name: &'a str,
    /// The source says it, and so to every node.
    of_source: bool,
}

impl<'a> Subject<'a> {
    fn read(issue: &'a str) -> Option<(Self, &'a str)> {
        let note = issue.strip_prefix("kubernetes: ");
        let (object, words) = note.unwrap_or(issue).split_once(": ")?;
        let (kind, name) = object.split_once(' ')?;
        let (kind, version) = KINDS.into_iter().find(|(known, _)| *known == kind)?;
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        Some((Self { kind, version, namespace, name, of_source: note.is_some() }, words))
    }

    fn is_ours(&self, objects: &Objects, speaking: &BTreeSet<&str>, own: &str) -> bool {
        match self.kind {
            "Node" if speaking.contains(self.name) => self.name == own,
            "Pod" => {
                let pod = objects.pods.get(&ObjectName::new(self.namespace, self.name));
                pod.and_then(|pod| pod.node.as_deref()) == Some(own)
            }
            "NetworkPolicy" if !self.of_source => true,
            _ => speaking.first() == Some(&own),
        }
    }

    fn reference(&self, objects: &Objects) -> ObjectReference {
        let pod = objects.pods.get(&ObjectName::new(self.namespace, self.name)).filter(|_| self.kind == "Pod");
        ObjectReference {
            api_version: Some(self.version.into()),
            kind: Some(self.kind.into()),
            // What has no namespace of its own has its Events in the default one.
            namespace: Some(self.namespace).filter(|namespace| !namespace.is_empty()).map(Into::into),
            name: Some(self.name.into()),
            uid: pod.map(|pod| pod.uid.clone()).filter(|uid| !uid.is_empty()),
            ..ObjectReference::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use ferrule_model::testing::text;

    use super::*;

    fn check(issue: &str, expected: Option<(&str, &str, &str, &str)>) {
        let found = Subject::read(issue).map(|(one, words)| (one.kind, one.namespace, one.name, words));
        assert_eq!(found, expected, "{issue}");
    }

    #[test]
    fn an_issue_names_its_object() {
        check("Pod shop/web-0: has no room", Some(("Pod", "shop", "web-0", "has no room")));
        check("Node n1: spec.podCIDRs[0]: overlaps", Some(("Node", "", "n1", "spec.podCIDRs[0]: overlaps")));
        check("kubernetes: Service a/b: bad", Some(("Service", "a", "b", "bad")));
        check("a.yaml: Pod a/b: bad", None);
        check("Deployment a/b: bad", None);
        check("no colon", None);
    }

    #[test]
    fn one_node_speaks() {
        let objects = text::cluster("node a 192.0.2.1\nnode b 192.0.2.2\npod x/p b 10.0.0.1").objects;
        let speaks =
            |issue: &str, node: &str| Subject::read(issue).unwrap().0.is_ours(&objects, &speaking(&objects), node);
        for (issue, of_a, of_b) in [
            ("Pod x/p: bad", false, true),
            ("Node b: bad", false, true),
            ("NetworkPolicy x/y: bad", true, true),
            ("kubernetes: NetworkPolicy x/y: bad", true, false),
            ("Pod x/gone: bad", false, false),
        ] {
            assert_eq!((speaks(issue, "a"), speaks(issue, "b")), (of_a, of_b), "{issue}");
        }
    }

    #[test]
    fn a_node_without_an_agent_is_spoken_of_and_does_not_speak() {
        let objects = text::cluster(
            "node a 192.0.2.1\nnode b 192.0.2.2\nnode c 192.0.2.3\n\
             pod s/one b 192.0.2.2 app.kubernetes.io/name=ferrule host\n\
             pod s/two c 192.0.2.3 app.kubernetes.io/name=ferrule host",
        )
        .objects;
        for (issue, speaks) in [("Node a: bad", "b"), ("Node c: bad", "c"), ("Service x/y: bad", "b")] {
            let subject = Subject::read(issue).unwrap().0;
            let all = ["a", "b", "c"].into_iter().filter(|own| subject.is_ours(&objects, &speaking(&objects), own));
            assert_eq!(all.collect::<Vec<_>>(), [speaks], "{issue}");
        }
    }
}
