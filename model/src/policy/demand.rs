//! How much policies ask for, counted before anything is made of it, in time that grows with their size alone. Others'
//! policies and pods change nothing of it: who is refused is refused for what they wrote.

use std::collections::BTreeSet;

use ipnetwork::IpNetwork;

use super::{
    blocks::{Place, place},
    rule::{Rule, RuleName, Whom},
    tables::Draft,
    term::{Block, Peers, Term},
};
use crate::{
    cidr,
    objects::{Direction, ObjectName, PolicyRule},
};

/// How much a table needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Demand {
    /// Entries of the policy map: each peer times each port prefix of its rule. A CIDR counts once for itself and once for
    /// each other prefix of the table within it.
    pub keys: usize,
    /// Prefixes of the block map: CIDRs and their exceptions.
    pub prefixes: usize,
    /// Selectors of peers.
    pub selectors: usize,
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// [`Demand::keys`].
    Keys,
    /// [`Demand::prefixes`].
    Prefixes,
    /// [`Demand::selectors`].
    Selectors,
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keys => "pairs of a peer and a port",
            Self::Prefixes => "CIDRs and exceptions",
            Self::Selectors => "selectors of peers",
        })
    }
}

/// A measure that exceeds a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Excess {
    /// Of what.
    pub measure: Measure,
    /// How much was asked for.
    pub asked: usize,
    /// How much may be.
    pub limit: usize,
}

impl Demand {
    /// The first measure that exceeds a limit.
    #[must_use]
    pub fn excess(&self, limit: &Self) -> Option<Excess> {
        let measures = [
            (Measure::Keys, self.keys, limit.keys),
            (Measure::Prefixes, self.prefixes, limit.prefixes),
            (Measure::Selectors, self.selectors, limit.selectors),
        ];
        let found = measures.into_iter().find(|(_, asked, limit)| asked > limit);
        found.map(|(measure, asked, limit)| Excess { measure, asked, limit })
    }

    pub(super) fn add(&mut self, other: Self) {
        self.keys = self.keys.saturating_add(other.keys);
        self.prefixes = self.prefixes.saturating_add(other.prefixes);
        self.selectors = self.selectors.saturating_add(other.selectors);
    }

    pub(super) fn subtract(&mut self, other: Self) {
        self.keys = self.keys.saturating_sub(other.keys);
        self.prefixes = self.prefixes.saturating_sub(other.prefixes);
        self.selectors = self.selectors.saturating_sub(other.selectors);
    }

    /// How greedy it is, in one number: prefixes and selectors multiply others' keys, too.
    pub(super) const fn weight(&self) -> usize {
        self.keys.saturating_add(self.prefixes.saturating_mul(8)).saturating_add(self.selectors.saturating_mul(8))
    }

    /// Of a draft: `n log n` of its rules' peers, exceptions and ports.
    pub(super) fn of(draft: &Draft) -> Self {
        Self::of_rules(draft.rules.iter().map(|(rule, ports)| (&**rule, ports.len())))
    }

    /// Of one direction of a policy, whatever pods it selects: a port's name counts once.
    pub(super) fn of_policy(name: &ObjectName, direction: Direction, rules: &[PolicyRule]) -> Self {
        let name = RuleName { policy: name.clone(), direction, index: 0 };
        let rules: Vec<Rule> = rules.iter().map(|rule| Rule::compile(0, 0, &name, rule)).collect();
        Self::of_rules(rules.iter().map(|rule| (rule, rule.ports.len() + rule.named.len())))
    }

    /// Of some rules, each with the number of its ports.
    fn of_rules<'a>(rules: impl Iterator<Item = (&'a Rule, usize)> + Clone) -> Self {
        let blocks = rules.clone().filter(|(_, ports)| *ports > 0).flat_map(|(rule, _)| rule.whom.iter());
        let borders: BTreeSet<Place> =
            blocks.filter_map(block).flat_map(|block| block.boundaries().map(place)).collect();
        let borders: Vec<Place> = borders.into_iter().collect();
        let mut ask = Self { prefixes: borders.len(), ..Self::default() };
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
