//! What must not be noticed: connections and numbered datagrams between two pods of two nodes, nodes' conditions, sandboxes.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use test_kit::traffic::{Echo, Flow, Sequence, Tally};

use super::{Pod, Space, nodes};

/// Traffic between two pods, and what the cluster said of itself when it began.
pub struct Witness {
    /// On the first node; it opened the connections and sends the datagrams.
    pub client: Pod,
    /// On the second node.
    pub server: Pod,
    echo: Echo,
    flows: [Flow; 2],
    sequences: [Sequence; 2],
    before: Account,
}

/// What the cluster says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    /// The first two nodes' condition `Ready`, and since when.
    ready: Vec<String>,
    /// How often a sandbox could not be made there, by its Event.
    sandboxes: BTreeMap<String, u64>,
}

impl Witness {
    /// Begins, in pods of a namespace.
    #[track_caller]
    pub fn start(space: &Space) -> Self {
        let nodes = nodes();
        let (server, client) = (space.pod("server", nodes[1].name(), &[]), space.pod("client", nodes[0].name(), &[]));
        let echo = Echo::start(&server.netns, &server.ips).expect("an echo server");
        let before = Account::read(space);
        let both = [false, true].map(|v6| server.ip(v6));
        let flows = both.map(|ip| Flow::start(&client.netns, ip).expect("a connection"));
        let sequences = both.map(|ip| Sequence::start(&client.netns, &server.netns, ip).expect("numbered datagrams"));
        Self { client, server, echo, flows, sequences, before }
    }

    /// Ends it: no connection broke or stood still for long, no datagram was lost or came twice, no node became unready, and
    /// no sandbox failed.
    #[track_caller]
    pub fn saw_nothing(self, space: &Space) {
        let before = self.before.clone();
        let (longest, tallies) = self.end(space);
        for tally in &tallies {
            assert!(tally.sent > 0 && tally.gaps.is_empty() && tally.doubled == 0, "{tally}");
        }
        assert!(longest < Duration::from_secs(1), "an exchange took {longest:?}");
        assert_eq!(Account::read(space), before);
    }

    /// Ends it where other components than ours may disturb the cluster: no connection broke or stood still for long, and no
    /// datagram was lost or came twice.
    #[track_caller]
    pub fn went_on(self, space: &Space) {
        let (longest, tallies) = self.end(space);
        for tally in &tallies {
            assert!(tally.sent > 0 && tally.gaps.is_empty() && tally.doubled == 0, "{tally}");
        }
        assert!(longest < Duration::from_secs(1), "an exchange took {longest:?}");
    }

    #[track_caller]
    fn end(self, space: &Space) -> (Duration, [Tally; 2]) {
        let tallies = self.sequences.map(Sequence::end);
        let longest = self.flows.map(|flow| flow.end().expect("the connection goes on"));
        drop(self.echo);
        let longest = longest.into_iter().max().unwrap_or_default();
        println!("the longest exchange: {longest:?}; datagrams: {}; {}", tallies[0], tallies[1]);
        let at = std::net::SocketAddr::new(self.server.ip(false), 8080).to_string();
        space.until("the server is reached", || space.connects(&self.client, &at));
        (longest, tallies)
    }
}

impl Account {
    #[track_caller]
    fn read(space: &Space) -> Self {
        let list = |line: &str| -> Vec<Value> {
            let words: Vec<&str> = line.split(' ').collect();
            let text = space.cluster.kubectl(&words).unwrap_or_else(|error| panic!("{line}: {error:#}"));
            let list: Value = serde_json::from_str(&text).expect("JSON");
            list["items"].as_array().cloned().unwrap_or_default()
        };
        let ready = list("get nodes n1 n2 -o json").iter().map(ready).collect();
        let events = list("get events --all-namespaces --field-selector reason=FailedCreatePodSandBox -o json");
        let here = |event: &&Value| event["source"]["host"] == "n1" || event["source"]["host"] == "n2";
        let sandboxes = events.iter().filter(here).map(|event| {
            let name = format!("{} {}", event["involvedObject"]["name"], event["message"]);
            (name, event["count"].as_u64().unwrap_or(1))
        });
        Self { ready, sandboxes: sandboxes.collect() }
    }
}

fn ready(node: &Value) -> String {
    let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.iter().find(|one| one["type"] == "Ready").cloned().unwrap_or_default();
    format!("{} {} {}", node["metadata"]["name"], ready["status"], ready["lastTransitionTime"])
}
