//! How much policies ask for, counted before anything is made of it, in time that grows with their size alone. Others'
//! policies and pods change nothing of it: who is refused is refused for what they wrote.

use std::collections::BTreeSet;

use ipnetwork::IpNetwork;

use super::{
    blocks::{Place, place},
    demand::Demand,
    draft::Draft,
    rule::{Rule, RuleName, Whom},
    term::{Block, Peers, Term},
};
use crate::{
    cidr,
    objects::{Direction, ObjectName, PolicyRule},
};

/// Of a draft: `n log n` of its rules' peers, exceptions and ports.
pub(super) fn of_draft(draft: &Draft) -> Demand {
    of_rules(draft.rules.iter().map(|(rule, ports)| (&**rule, ports.len())))
}

/// Of one direction of a policy, whatever pods it selects: a port's name counts once.
pub(super) fn of_policy(name: &ObjectName, direction: Direction, rules: &[PolicyRule]) -> Demand {
    let name = RuleName { policy: name.clone(), direction, index: 0 };
    let rules: Vec<Rule> = rules.iter().map(|rule| Rule::compile(0, 0, &name, rule)).collect();
    of_rules(rules.iter().map(|rule| (rule, rule.ports.len() + rule.named.len())))
}

/// Of some rules, each with the number of its ports.
fn of_rules<'a>(rules: impl Iterator<Item = (&'a Rule, usize)> + Clone) -> Demand {
    let blocks = rules.clone().filter(|(_, ports)| *ports > 0).flat_map(|(rule, _)| rule.whom.iter());
    let borders: BTreeSet<Place> = blocks.filter_map(block).flat_map(|block| block.boundaries().map(place)).collect();
    let borders: Vec<Place> = borders.into_iter().collect();
    let mut ask = Demand { prefixes: borders.len(), ..Demand::default() };
    for (rule, ports) in rules {
        // One that allows nothing takes room in the agent all the same.
        ask.keys = ask.keys.saturating_add(usize::from(ports == 0 && rule.pairs == 0));
        for whom in rule.whom.iter().filter(|_| ports > 0) {
            let peers = block(whom).map_or(1, |block| covered(block, &borders));
            ask.keys = ask.keys.saturating_add(peers.saturating_mul(ports));
            ask.selectors += usize::from(matches!(whom, Whom::Term(term) if is_selector(term)));
        }
        ask.keys = ask.keys.saturating_add(rule.pairs);
        ask.selectors = ask.selectors.saturating_add(rule.pairs);
    }
    ask
}

fn block(whom: &Whom) -> Option<&Block> {
    match whom {
        Whom::Term(term) => match &term.peers {
            Peers::Block(block) => Some(block),
            _ => None,
        },
        Whom::Anyone | Whom::AnyPod => None,
    }
}

fn is_selector(term: &Term) -> bool {
    !matches!(term.peers, Peers::Block(_))
}

/// How many of these places a block covers: those within its CIDR without those within its exceptions.
fn covered(block: &Block, places: &[Place]) -> usize {
    let within = |prefix: IpNetwork| {
        let (first, last) = range(prefix);
        let from = places.partition_point(|at| *at < first);
        places.partition_point(|at| *at <= last) - from
    };
    within(block.cidr).saturating_sub(block.except.iter().map(|part| within(*part)).sum())
}

/// The first and the last place within a prefix.
fn range(prefix: IpNetwork) -> (Place, Place) {
    let (family, first, bits) = place(prefix);
    ((family, first, bits), (family, cidr::number(prefix.broadcast()), u8::MAX))
}
