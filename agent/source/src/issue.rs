//! What is wrong with objects, files or the configuration, with who found it: shown as one sentence in the status, the log
//! and the API, and said to the API server as an Event on its object.

use std::fmt;

use ferrule_model::{
    desired,
    found::FoundBy,
    objects::{Identity, Kind},
    policy, service,
};

use crate::{Level, Note};

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

    /// The kind of trouble, as Events' `reason` has it: operators choose by it.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Node(issue) => issue.reason.name(),
            Self::Policies(issue) => issue.reason.name(),
            Self::Services(issue) => issue.reason.name(),
            Self::Source(note) => match note.level {
                Level::Error => "BadValue",
                Level::Note => "Ignored",
            },
        }
    }

    /// Whether something is not in force as it should be; else it is only told.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        !matches!(self, Self::Source(note) if note.level == Level::Note)
    }

    /// Which nodes find it.
    #[must_use]
    pub const fn found_by(&self) -> FoundBy {
        match self {
            Self::Node(issue) => issue.reason.found_by(),
            Self::Policies(issue) => issue.reason.found_by(),
            Self::Services(_) | Self::Source(_) => FoundBy::All,
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
    use ferrule_model::{
        objects::{Direction, ObjectName},
        policy::{Excess, Measure},
    };

    use super::*;

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
            let (direction, in_force) = (Direction::Ingress, policy::InForceStill::Before);
            Issue::Policies(policy::Issue {
                subject,
                reason: policy::Reason::TablesFull { direction, capacity: 4, in_force },
            })
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

    /// One of each kind.
    fn reasons() -> Vec<&'static str> {
        use ferrule_model::cidr::Family;
        let (address, cidr) = ([10, 0, 0, 1].into(), "10.0.0.0/8".parse().unwrap());
        let (direction, excess) = (Direction::Ingress, Excess { measure: Measure::Keys, asked: 2, limit: 1 });
        let what = desired::Special::LinkLocal;
        let (owner, name, in_force) = (String::new(), ObjectName::new("a", "b"), policy::InForceStill::Before);
        let nodes = [
            desired::Reason::NoPodCidr,
            desired::Reason::HostBits { index: 0, given: cidr, used: cidr },
            desired::Reason::CidrOverlap { index: 0, cidr, other: cidr, owner: owner.clone() },
            desired::Reason::NoInternalIp,
            desired::Reason::DuplicateInternalIp { address, owner: owner.clone() },
            desired::Reason::InternalIpInCidr { address, cidr },
            desired::Reason::NoCommonFamily,
            desired::Reason::NoPath { address },
            desired::Reason::NoNextHop { family: Family::V4 },
            desired::Reason::TwoDevices { v4: 1, v6: 2 },
            desired::Reason::NodesFull { capacity: 1 },
            desired::Reason::UnknownNode { pods: 1, example: owner.clone() },
            desired::Reason::DuplicateAddress { address, owner: owner.clone() },
            desired::Reason::SpecialPodCidr { index: 0, cidr, what },
            desired::Reason::BroadPodCidr { index: 0, cidr, broadest: 12 },
            desired::Reason::PodCidrOutside { index: 0, cidr },
            desired::Reason::PodCidrAmongNodes { index: 0, cidr, nodes: cidr },
            desired::Reason::PodCidrHoldsNode { index: 0, cidr, address, owner: owner.clone() },
            desired::Reason::PodCidrHoldsService { index: 0, cidr, address, service: name.clone() },
            desired::Reason::PodCidrHoldsPod { index: 0, cidr, address, pod: name.clone() },
            desired::Reason::PodCidrHoldsOwn { cidr, address },
            desired::Reason::SpecialInternalIp { address, what },
            desired::Reason::InternalIpOutside { address },
            desired::Reason::InternalIpOfService { address, service: name.clone() },
            desired::Reason::InternalIpOfPod { address, pod: name.clone() },
            desired::Reason::SpecialPodIp { address, what },
            desired::Reason::PodIpOutside { address },
            desired::Reason::PodIpAmongNodes { address, nodes: cidr },
            desired::Reason::PodIpOfNode { address, cidr, owner },
            desired::Reason::PodIpOfService { address, service: name.clone() },
            desired::Reason::PodIpOfOwn { address },
            desired::Reason::ManyWrongPods { pods: 21, named: 20 },
        ];
        let policies = [
            policy::Reason::OfPod { direction, policy: None, excess },
            policy::Reason::OfNamespace { direction, policy: None, excess },
            policy::Reason::Busy { direction, in_force },
            policy::Reason::KeysFull { direction, policy: None, capacity: 1, in_force },
            policy::Reason::TablesFull { direction, capacity: 1, in_force },
            policy::Reason::BlocksFull { direction, policy: None, capacity: 1, in_force },
            policy::Reason::PeerLeftOut { address },
            policy::Reason::EmptyRange { direction, rule: 0, port: 0, first: 2, last: 1 },
        ];
        let services = [
            service::Reason::Taken { address, elder: name.clone() },
            service::Reason::Node { address, node: "n".into() },
            service::Reason::Pod { address, pod: name },
            service::Reason::Sctp { port: 1 },
            service::Reason::Many { backends: 2, capacity: 1 },
            service::Reason::Share { namespace: "x".into(), map: "fr_svc", quota: 1 },
            service::Reason::Full { map: "fr_svc", capacity: 1 },
        ];
        let nodes = nodes.iter().map(desired::Reason::name);
        let others = policies.iter().map(policy::Reason::name).chain(services.iter().map(service::Reason::name));
        nodes.chain(others).chain(["BadValue"]).collect()
    }

    #[test]
    fn each_reason_is_one_word_of_its_own_that_the_manual_explains() {
        let manual = include_str!("../../../docs/operations.md");
        let mut seen = std::collections::BTreeSet::new();
        for reason in reasons() {
            assert!(seen.insert(reason), "{reason} stands for two");
            assert!(reason.starts_with(|first: char| first.is_ascii_uppercase()), "{reason}");
            assert!(reason.chars().all(|one| one.is_ascii_alphabetic()) && reason.len() <= 128, "{reason}");
            assert!(manual.contains(&format!("`{reason}`")), "{reason} is not in docs/operations.md");
        }
    }
}
