//! Who speaks of an issue, and with which words.

use std::{collections::BTreeSet, ops::Bound};

use ferrule_model::{
    found::FoundBy,
    objects::{Identity, Kind, Objects},
};
use ferrule_source::issue::Issue;

/// What the chart labels agents' pods with.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", "ferrule");
/// How many other nodes speak of an object that each finds by itself: more than one, since another may have another way.
const OTHERS: usize = 3;

/// The nodes with an agent in a pod; all nodes where agents run otherwise.
pub(super) fn speaking(objects: &Objects) -> BTreeSet<&str> {
    let agents = objects.pods.values().filter(|pod| pod.host_network && pod.labels.get(LABEL.0) == Some(LABEL.1));
    let with: BTreeSet<&str> = agents.filter_map(|pod| pod.node.as_deref()).collect();
    if with.is_empty() { objects.nodes.keys().map(|name| &**name).collect() } else { with }
}

/// Whether the node `own`, which found it, speaks of it.
pub(super) fn is_ours(
    issue: &Issue,
    object: &Identity,
    objects: &Objects,
    speaking: &BTreeSet<&str>,
    own: &str,
) -> bool {
    let name = &object.name;
    // The node that it is about.
    let about = match object.kind {
        Kind::Node => Some(&*name.name),
        Kind::Pod => objects.pods.get(name).and_then(|pod| pod.node.as_deref()),
        Kind::Namespace | Kind::NetworkPolicy | Kind::Service | Kind::EndpointSlice => None,
    };
    match (issue.found_by(), about) {
        // Where there is no other, the node itself, if it finds it.
        (FoundBy::Others, Some(about)) => *speaking.iter().find(|name| **name != about).unwrap_or(&about) == own,
        (FoundBy::Each, Some(about)) => about == own || after(speaking, about).take(OTHERS).any(|name| name == own),
        _ => match (object.kind, issue) {
            (Kind::Node, _) if speaking.contains(&*name.name) => about == Some(own),
            (Kind::Pod, _) => about == Some(own),
            // Nodes with pods of it alone find it.
            (Kind::NetworkPolicy, Issue::Policies(_)) => true,
            _ => speaking.first() == Some(&own),
        },
    }
}

/// The others by name, from that name on and around: so each object has others that speak of it, and no node of all.
fn after<'a>(speaking: &'a BTreeSet<&str>, name: &'a str) -> impl Iterator<Item = &'a str> {
    let after = speaking.range::<str, _>((Bound::Excluded(name), Bound::Unbounded));
    after.chain(speaking.range::<str, _>((Bound::Unbounded, Bound::Excluded(name)))).copied()
}

/// What an Event says of an issue that the node `own` found.
pub(super) fn words(issue: &Issue, own: &str) -> String {
    let words = issue.words();
    match issue.found_by() {
        FoundBy::All => words,
        FoundBy::Others | FoundBy::Each => format!("seen from node {own}: {words}"),
    }
}

#[cfg(test)]
mod tests {
    use ferrule_model::{cidr::Family, desired, objects::ObjectName, policy, service, testing::text};
    use ferrule_source::{Level, Note};

    use super::*;

    const NODES: [&str; 3] = ["a", "b", "c"];

    fn scoped(kind: Kind, name: &str) -> Identity {
        Identity::new(kind, &ObjectName::new("x", name))
    }

    fn of_node(name: &str, reason: desired::Reason) -> Issue {
        Issue::Node(desired::Issue { object: Identity::cluster_scoped(Kind::Node, name), reason })
    }

    fn of_policies(object: Identity) -> Issue {
        let reason = policy::Reason::EmptyRange {
            direction: ferrule_model::objects::Direction::Ingress,
            rule: 0,
            port: 0,
            first: 2,
            last: 1,
        };
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
    fn of_what_only_other_nodes_find_one_of_them_speaks() {
        let objects = "node a 192.0.2.1\nnode b 192.0.2.2\nnode c 192.0.2.3\npod x/p a 10.0.0.1\npod x/q b 10.0.0.1";
        let duplicate = |name: &str| {
            let reason =
                desired::Reason::DuplicateAddress { address: [10, 0, 0, 1].into(), owner: "a pod of this node".into() };
            Issue::Node(desired::Issue { object: scoped(Kind::Pod, name), reason })
        };
        check(objects, &duplicate("p"), &["b"]);
        check(objects, &duplicate("q"), &["a"]);
        check(objects, &duplicate("gone"), &[]);
        check("node a 192.0.2.1\npod x/p a 10.0.0.1", &duplicate("p"), &["a"]);
        let agents = "pod s/one a 192.0.2.1 app.kubernetes.io/name=ferrule host\n\
                      pod s/two c 192.0.2.3 app.kubernetes.io/name=ferrule host";
        check(&format!("{objects}\n{agents}"), &duplicate("p"), &["c"]);
        // Whose the node is that it names would else not be known.
        let expected = "seen from node b: status.podIPs: 10.0.0.1 belongs to a pod of this node";
        assert!(words(&duplicate("p"), "b").starts_with(expected), "{}", words(&duplicate("p"), "b"));
    }

    #[test]
    fn of_what_each_finds_by_itself_a_few_speak_and_name_themselves() {
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
    fn a_large_cluster_does_not_speak_of_one_node_all_at_once() {
        let names: Vec<String> = (0..1_000).map(|number| format!("n{number:03}")).collect();
        let mut lines: Vec<String> = names.iter().map(|name| format!("node {name} -")).collect();
        lines.push("pod x/p n998 10.0.0.1".to_owned());
        let objects = text::cluster(&lines.join("\n")).objects;
        let speaking = speaking(&objects);
        let who = |issue: &Issue| -> Vec<&str> {
            let object = issue.object().unwrap();
            let ours = |own: &&str| is_ours(issue, &object, &objects, &speaking, own);
            names.iter().map(String::as_str).filter(ours).collect()
        };
        let no_path = |name| of_node(name, desired::Reason::NoPath { address: [192, 0, 2, 1].into() });
        // A node never finds that there is no way to itself.
        assert_eq!(who(&no_path("n100")), ["n100", "n101", "n102", "n103"]);
        assert_eq!(who(&no_path("n998")), ["n000", "n001", "n998", "n999"]);
        assert_eq!(who(&no_path("m")), ["n000", "n001", "n002"], "one without an agent");
        let reason = policy::Reason::PeerLeftOut { address: [10, 0, 0, 1].into() };
        let left_out =
            Issue::Policies(policy::Issue { subject: policy::Subject::Object(scoped(Kind::Pod, "p")), reason });
        assert_eq!(who(&left_out), ["n000", "n001", "n998", "n999"]);
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
}
