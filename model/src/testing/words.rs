//! The parts of a line in a cluster's text.

use std::net::IpAddr;

use crate::{
    objects::{Direction, IpBlock, ObjectName, PolicyPeer, PolicyPort, PolicyRule, PortMatch, Protocol},
    selector::{Labels, Requirement, Selector, Test},
};

pub(super) fn rule(words: &[&str]) -> PolicyRule {
    let (mut rule, mut on) = (PolicyRule::default(), false);
    for word in words {
        if *word == "on" {
            on = true;
        } else if on {
            rule.ports.push(port(word));
        } else {
            rule.peers.push(peer(word));
        }
    }
    rule
}

fn peer(word: &str) -> PolicyPeer {
    if let Some(block) = word.strip_prefix("block:") {
        let mut parts = block.split('-').map(|part| part.parse().unwrap());
        return PolicyPeer::Block(IpBlock { cidr: parts.next().unwrap(), except: parts.collect() });
    }
    let (mut namespaces, mut pods) = (None, Selector::default());
    for part in word.split('+') {
        match part.split_once(':') {
            Some(("pods", text)) => pods = selector(text),
            Some(("namespaces", text)) => namespaces = Some(selector(text)),
            _ => panic!("{part:?} is no peer: {word}"),
        }
    }
    PolicyPeer::Pods { namespaces, pods }
}

fn port(word: &str) -> PolicyPort {
    let (kind, port) = word.split_once('/').unwrap_or((word, ""));
    let (first, last) = port.split_once('-').unwrap_or((port, port));
    let port = match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) => PortMatch::Range(first, last),
        _ if port.is_empty() => PortMatch::Any,
        _ => PortMatch::Named(port.to_owned()),
    };
    PolicyPort { protocol: protocol(kind), port }
}

pub(super) fn selector(text: &str) -> Selector {
    let values = |list: &str| list.split('|').map(str::to_owned).collect();
    let requirement = |word: &str| {
        let (key, test) = if let Some((key, list)) = word.split_once("!=") {
            (key, Test::NotIn(values(list)))
        } else if let Some((key, list)) = word.split_once('=') {
            (key, Test::In(values(list)))
        } else if let Some(key) = word.strip_prefix('!') {
            (key, Test::DoesNotExist)
        } else {
            (word, Test::Exists)
        };
        Requirement { key: key.to_owned(), test }
    };
    Selector::new(text.split('&').filter(|word| *word != "*").map(requirement).collect())
}

pub(super) fn direction(word: &str) -> Direction {
    match word {
        "ingress" => Direction::Ingress,
        "egress" => Direction::Egress,
        other => panic!("{other:?} is no direction"),
    }
}

pub(super) fn protocol(word: &str) -> Protocol {
    match word {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => panic!("{other:?} is no protocol"),
    }
}

pub(super) fn labels(words: &[&str]) -> Labels {
    words.iter().filter_map(|word| word.split_once('=')).collect()
}

pub(super) fn addresses(text: &str) -> Vec<IpAddr> {
    text.split(',').filter(|part| *part != "-").map(|part| part.parse().unwrap()).collect()
}

pub(super) fn object_name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap();
    ObjectName::new(namespace, name)
}
