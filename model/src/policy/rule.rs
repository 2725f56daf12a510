//! A policy's rules, compiled as far as they are the same for every endpoint.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    port::{PortName, PortPrefix, number},
    term::{Peers, Term, peers},
};
use crate::objects::{Direction, ObjectName, PolicyRule, PortMatch};

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleName {
    /// The policy.
    pub policy: ObjectName,
    /// Which of its two lists.
    pub direction: Direction,
    /// Its place in the list, from 0.
    pub index: usize,
}

impl std::fmt::Display for RuleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = match self.direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        };
        write!(f, "{} {list}[{}]", self.policy, self.index)
    }
}

/// Whom a rule allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whom {
    /// Every address.
    Anyone,
    /// Every pod.
    AnyPod,
    /// Those that fulfil a term.
    Term(Arc<Term>),
}

/// A rule of a policy's present state.
#[derive(Debug)]
pub(super) struct Rule {
    /// Of all rules that ever were, this one: what tells tables apart.
    pub(super) serial: u64,
    /// What the maps call it: it stays while the policy changes.
    pub(super) number: u32,
    pub(super) whom: Box<[Whom]>,
    /// Ports by number.
    pub(super) ports: Arc<[PortPrefix]>,
    /// Ingress: ports by name, as the endpoint numbers them; sorted.
    pub(super) named: Box<[PortName]>,
    /// Egress: ports by name, as the peer numbers them.
    pub(super) by_peer: Box<[Arc<Term>]>,
    /// How many those are; where they are more than [`MOST_PAIRS`] they are not made, and the rule fits nowhere.
    pub(super) pairs: usize,
}

/// How many pairs of a peer and a port's name an egress rule may have: more than any limit lets in.
const MOST_PAIRS: usize = super::limits::OF_POD.keys;

impl Rule {
    pub(super) fn compile(serial: u64, number: u32, name: &RuleName, rule: &PolicyRule) -> Self {
        let whom: Box<[Whom]> = match rule.peers.is_empty() {
            true => [Whom::Anyone].into(),
            false => rule.peers.iter().map(|entry| whom(&name.policy.namespace, entry)).collect(),
        };
        let mut ports: Vec<PortPrefix> =
            rule.ports.iter().flat_map(|port| prefixes(port.protocol, &port.port)).collect();
        if rule.ports.is_empty() {
            ports.push(PortPrefix::EVERYTHING);
        }
        ports.sort_unstable();
        ports.dedup();
        let named = rule.ports.iter().filter_map(|port| match &port.port {
            PortMatch::Named(name) => Some(PortName { name: name.clone(), protocol: port.protocol }),
            _ => None,
        });
        let named: Box<[PortName]> = named.collect::<BTreeSet<_>>().into_iter().collect();
        let (named, by_peer, pairs) = match name.direction {
            Direction::Ingress => (named, [].into(), 0),
            Direction::Egress => match whom.len().saturating_mul(named.len()) {
                many if many > MOST_PAIRS => (Box::default(), [].into(), usize::MAX),
                pairs => {
                    let of = whom.iter().flat_map(|whom| named.iter().map(move |port| with_port(whom, port.clone())));
                    (Box::default(), of.collect(), pairs)
                }
            },
        };
        Self { serial, number, whom, ports: ports.into(), named, by_peer, pairs }
    }
}

fn whom(namespace: &Arc<str>, entry: &crate::objects::PolicyPeer) -> Whom {
    match peers(namespace, entry) {
        Some(peers) => Whom::Term(Arc::new(Term { peers, port: None })),
        None => Whom::AnyPod,
    }
}

/// Only pods have named ports.
fn with_port(whom: &Whom, port: PortName) -> Arc<Term> {
    let peers = match whom {
        Whom::Anyone | Whom::AnyPod => Peers::AnyPod,
        Whom::Term(term) => term.peers.clone(),
    };
    Arc::new(Term { peers, port: Some(port) })
}

/// Ports by number; none for a name, and for a range that ends before it starts.
fn prefixes(protocol: crate::objects::Protocol, port: &PortMatch) -> Vec<PortPrefix> {
    match port {
        PortMatch::Any => vec![PortPrefix::all(number(protocol))],
        PortMatch::Range(first, last) => PortPrefix::range(number(protocol), *first, *last).collect(),
        PortMatch::Named(_) => vec![],
    }
}
