//! What is wrong with objects, files or the configuration, with who found it: shown as one sentence in the status, the log
//! and the API, and said to the API server as an Event on its object.

use std::fmt;

use ferrule_model::{
    desired,
    objects::{Identity, Kind},
    policy, service,
};

use crate::source::Note;

/// Something that the operator should know, by who found it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Issue {
    /// The node, as it looks at Nodes and Pods.
    Node(desired::Issue),
    /// The policies in force.
    Policies(policy::Issue),
    /// The Services in force.
    Services(service::Issue),
    /// The source, as it reads its input.
    Source(Note),
}

impl Issue {
    /// The object that it is about, where there is one.
    #[must_use]
    pub fn object(&self) -> Option<Identity> {
        match self {
            Self::Node(issue) => Some(issue.object.clone()),
            Self::Policies(issue) => match &issue.subject {
                policy::Subject::Object(object) => Some(object.clone()),
                policy::Subject::Endpoint(_) | policy::Subject::Address(_) => None,
            },
            Self::Services(issue) => Some(Identity::new(Kind::Service, &issue.service)),
            Self::Source(note) => note.object.clone(),
        }
    }

    /// What is wrong, for who knows the object already.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Node(issue) => issue.reason.to_string(),
            Self::Policies(issue) => issue.reason.to_string(),
            Self::Services(issue) => issue.reason.to_string(),
            Self::Source(note) => note.message.clone(),
        }
    }

    /// Whether it depends on the node that looks, and the node that it is about does not find it.
    #[must_use]
    pub const fn is_seen_from_elsewhere(&self) -> bool {
        match self {
            Self::Node(issue) => issue.reason.is_seen_from_elsewhere(),
            Self::Policies(_) | Self::Services(_) | Self::Source(_) => false,
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(issue) => issue.fmt(f),
            Self::Policies(issue) => issue.fmt(f),
            Self::Services(issue) => issue.fmt(f),
            Self::Source(note) => note.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use ferrule_model::objects::ObjectName;

    use super::*;
    use crate::source::Level;

    fn check(issue: &Issue, object: Option<&str>, before: &str) {
        let named = issue.object().map(|object| object.to_string());
        assert_eq!(named.as_deref(), object, "{issue:?}");
        assert_eq!(issue.to_string(), format!("{before}{}", issue.words()));
    }

    #[test]
    fn the_sentence_is_the_object_and_the_words() {
        let node = Identity::cluster_scoped(Kind::Node, "n1");
        let issue = desired::Issue { object: node, reason: desired::Reason::NoPodCidr };
        check(&Issue::Node(issue), Some("Node n1"), "Node n1: ");
        let full = |subject| {
            let in_force = policy::InForceStill::Before;
            Issue::Policies(policy::Issue { subject, reason: policy::Reason::TablesFull { capacity: 4, in_force } })
        };
        let pod = Identity::new(Kind::Pod, &ObjectName::new("shop", "web-0"));
        check(&full(policy::Subject::Object(pod)), Some("Pod shop/web-0"), "Pod shop/web-0: ");
        check(&full(policy::Subject::Endpoint(7)), None, "endpoint 7: ");
        check(&full(policy::Subject::Address([10, 0, 0, 1].into())), None, "address 10.0.0.1: ");
        let service = ObjectName::new("a", "b");
        let issue = service::Issue { service: service.clone(), reason: service::Reason::Sctp { port: 80 } };
        check(&Issue::Services(issue), Some("Service a/b"), "Service a/b: ");
        let note = |line, object| {
            let (file, message) = ("a.yaml".to_owned(), "bad".to_owned());
            Issue::Source(Note { level: Level::Error, file, line, object, message })
        };
        check(&note(Some(3), None), None, "a.yaml:3: ");
        let service = Identity::new(Kind::Service, &service);
        check(&note(None, Some(service)), Some("Service a/b"), "a.yaml: Service a/b: ");
    }
}
