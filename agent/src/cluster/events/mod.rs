//! What is wrong with an object, as an Event on it (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>).
//!
//! Of what every node sees, one node speaks: a pod's own, a Node itself, and of all else the first by name that has an agent.
//! What a pod's own node cannot find is said by the first other. What keeps a policy from being in force is seen by the nodes
//! with pods of it alone, and each of them speaks. What each node finds by itself, such as that it has no way to a Node, is
//! said by a few, with their own names.

mod told;
mod who;

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use ferrule_api::chain::chain;
use ferrule_model::objects::{Identity, Kind, Objects};
use ferrule_source::{issue::Issue, store::Reader};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::watch;
use told::{AGAIN, Series, Told};

use super::client::Cluster;
use crate::state::NodeState;

/// More than this at once helps nobody.
const MOST: usize = 50;

pub(super) async fn run(cluster: Cluster, store: Reader, mut state: watch::Receiver<Arc<NodeState>>) {
    let mut teller = Teller::new(cluster);
    loop {
        let issues = state.borrow_and_update().issues.clone();
        let objects = Arc::clone(&store.clone().snapshot().objects);
        teller.tell(issues, &objects).await;
        let waited = tokio::time::timeout(AGAIN, state.changed()).await;
        if matches!(waited, Ok(Err(_))) {
            return;
        }
    }
}

struct Teller {
    cluster: Cluster,
    told: Told<Recorder>,
    /// Refused once, it is refused for each: the first is worth a warning.
    failing: bool,
}

impl Teller {
    fn new(cluster: Cluster) -> Self {
        Self { cluster, told: Told::default(), failing: false }
    }

    /// Says what is new among the issues that stand.
    async fn tell(&mut self, issues: Vec<Issue>, objects: &Objects) {
        let now = Instant::now();
        self.told.look(&issues, now);
        let due = issues.into_iter().filter(|issue| self.told.is_due(issue, now));
        let due: Vec<_> = due.filter_map(|issue| Some((issue.object()?, issue))).take(MOST).collect();
        let speaking = if due.is_empty() { BTreeSet::new() } else { who::speaking(objects) };
        for (object, issue) in due {
            let mut recorder = None;
            if who::is_ours(&issue, &object, objects, &speaking, &self.cluster.node_name) {
                let published = self.publish(&issue, &object, objects).await;
                self.cluster.health.told("events", published.as_ref().err());
                match published {
                    Ok(own) => recorder = own,
                    Err(error) => {
                        self.complain(&issue, &error);
                        continue;
                    }
                }
                self.failing = false;
            }
            self.told.insert(issue, recorder, Instant::now());
        }
    }

    /// Writes an Event, or counts on one that is there; what counts the issue from now on, where that is its own.
    async fn publish(
        &self,
        issue: &Issue,
        object: &Identity,
        objects: &Objects,
    ) -> Result<Option<Recorder>, kube::Error> {
        let (event, reference) = (event(issue, &self.cluster.node_name), reference(object, objects));
        let (recorder, own) = match self.told.series(object, issue, Instant::now()) {
            Series::Own(recorder) => (recorder, true),
            Series::Another(recorder) => (recorder, false),
            Series::New => (self.recorder(), true),
        };
        match recorder.publish(&event, &reference).await {
            Ok(()) => Ok(own.then_some(recorder)),
            // Somebody removed the Event to count on.
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                let recorder = self.recorder();
                recorder.publish(&event, &reference).await.map(|()| Some(recorder))
            }
            Err(error) => Err(error),
        }
    }

    fn recorder(&self) -> Recorder {
        let instance = Some(self.cluster.node_name.clone());
        Recorder::new(self.cluster.client.clone(), Reporter { controller: "ferrule.dev/agent".into(), instance })
    }

    fn complain(&mut self, issue: &Issue, error: &kube::Error) {
        let (issue, error) = (issue.to_string(), chain(error));
        if self.failing {
            tracing::debug!(issue, error, "an Event cannot be written; tried again");
        } else {
            tracing::warn!(issue, error, "an Event cannot be written; tried again");
        }
        self.failing = true;
    }
}

/// What the node `own` says of an issue.
fn event(issue: &Issue, own: &str) -> Event {
    Event {
        type_: EventType::Warning,
        reason: issue.reason().into(),
        note: Some(who::words(issue, own)),
        action: "Enforce".into(),
        secondary: None,
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
    use std::{convert::Infallible, sync::Mutex};

    use ferrule_model::{objects::ObjectName, service, testing::text};
    use http::{Method, Request, Response};
    use kube::{Client, client::Body};
    use serde_json::{Value, json};

    use super::*;

    /// An API server: what was written, as verb, name and words, and whether Events are there.
    #[derive(Default)]
    struct Server {
        asked: Vec<(Method, String, String)>,
        refuses: bool,
        forgot: bool,
    }

    impl Server {
        fn answer(&mut self, method: Method, sent: Value) -> Response<Body> {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (name, words) = (text(&sent["metadata"]["name"]), text(&sent["note"]));
            let (code, answer) = if self.refuses {
                (403, json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"}))
            } else if self.forgot && method == Method::PATCH {
                (404, json!({"status": "Failure", "code": 404, "reason": "NotFound", "message": "gone"}))
            } else {
                (200, sent)
            };
            self.asked.push((method, name, words));
            Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap()
        }
    }

    fn teller() -> (Teller, Arc<Mutex<Server>>) {
        let server = Arc::new(Mutex::new(Server::default()));
        let answering = Arc::clone(&server);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&answering);
            async move {
                let method = request.method().clone();
                let sent = request.into_body().collect_bytes().await.unwrap();
                let sent = serde_json::from_slice(&sent).unwrap();
                Ok::<_, Infallible>(server.lock().unwrap().answer(method, sent))
            }
        });
        let client = Client::new(service, "default");
        (Teller::new(Cluster { client, health: Arc::default(), node_name: "a".to_owned() }), server)
    }

    fn sctp(port: u16) -> Issue {
        let reason = service::Reason::Sctp { port };
        Issue::Services(service::Issue { service: ObjectName::new("x", "y"), reason })
    }

    /// Tells of these issues; what was asked for since, with the number of the Event by its name.
    async fn tell(teller: &mut Teller, server: &Mutex<Server>, ports: &[u16]) -> Vec<(Method, String)> {
        let objects = text::cluster("node a 192.0.2.1").objects;
        let before = server.lock().unwrap().asked.len();
        teller.tell(ports.iter().map(|port| sctp(*port)).collect(), &objects).await;
        let asked = &server.lock().unwrap().asked;
        for (method, name, _) in &asked[before..] {
            let there = asked[..before].iter().any(|(_, known, _)| known == name);
            assert_eq!(*method == Method::PATCH, there, "{name}: {asked:?}");
        }
        asked[before..].iter().map(|(method, _, words)| (method.clone(), words.clone())).collect()
    }

    fn said(method: Method, port: u16) -> (Method, String) {
        (method, sctp(port).words())
    }

    #[tokio::test]
    async fn each_issue_has_its_own_event_and_is_counted_there_when_it_comes_back() {
        let (mut teller, server) = teller();
        let both = [said(Method::POST, 1), said(Method::POST, 2)];
        assert_eq!(tell(&mut teller, &server, &[1, 2]).await, both);
        assert_eq!(tell(&mut teller, &server, &[1, 2]).await, []);
        assert_eq!(tell(&mut teller, &server, &[1]).await, []);
        assert_eq!(tell(&mut teller, &server, &[1, 2]).await, [said(Method::PATCH, 2)]);
    }

    #[tokio::test]
    async fn an_event_that_was_removed_is_written_anew() {
        let (mut teller, server) = teller();
        assert_eq!(tell(&mut teller, &server, &[1]).await, [said(Method::POST, 1)]);
        assert_eq!(tell(&mut teller, &server, &[]).await, []);
        server.lock().unwrap().forgot = true;
        assert_eq!(tell(&mut teller, &server, &[1]).await, [said(Method::PATCH, 1), said(Method::POST, 1)]);
        assert_eq!(tell(&mut teller, &server, &[]).await, []);
        server.lock().unwrap().forgot = false;
        assert_eq!(tell(&mut teller, &server, &[1]).await, [said(Method::PATCH, 1)]);
    }

    #[tokio::test]
    async fn what_was_refused_is_tried_again() {
        let (mut teller, server) = teller();
        server.lock().unwrap().refuses = true;
        assert_eq!(tell(&mut teller, &server, &[1]).await, [said(Method::POST, 1)]);
        server.lock().unwrap().refuses = false;
        assert_eq!(tell(&mut teller, &server, &[1]).await, [said(Method::POST, 1)]);
        assert_eq!(tell(&mut teller, &server, &[1]).await, []);
    }

    #[test]
    fn an_event_names_its_object() {
        let scoped = |kind, name| Identity::new(kind, &ObjectName::new("x", name));
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
