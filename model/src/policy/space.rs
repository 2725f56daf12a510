//! What the maps hold, and what they shall hold: tables, the terms that they ask for, and the classes of addresses.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    addresses::{Addresses, Held},
    blocks::Blocks,
    classes::Classes,
    demand::Demand,
    draft::Draft,
    tables::Tables,
    term::{Peers, Term},
    terms::Terms,
};

/// The maps' present and future.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) tables: Tables,
    pub(super) terms: Terms,
    pub(super) classes: Classes,
    pub(super) blocks: Blocks,
    pub(super) addresses: Addresses,
    /// How many keys the maps hold.
    pub(super) keys: usize,
    pub(super) round: u64,
}

/// What a change touched and is still to be settled.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Endpoints whose tables may be others.
    pub(super) endpoints: BTreeSet<u32>,
    /// Addresses whose class may be another.
    pub(super) addresses: BTreeSet<IpAddr>,
    /// Terms that a table asks for as the first, or as the last one no more: peers that fulfil them are to be looked at.
    pub(super) terms: Vec<Arc<Term>>,
    /// Namespaces whose shares are to be decided anew.
    pub(super) namespaces: BTreeSet<Arc<str>>,
    /// Indices that shall have no word.
    pub(super) cleared: BTreeSet<u32>,
    /// What the map has of each address that was looked at.
    pub(super) before: BTreeMap<IpAddr, Option<Held>>,
}

impl Space {
    /// A new table, its terms asked for.
    pub(super) fn make(&mut self, draft: &Draft, asked: (&Arc<str>, Demand), dirty: &mut Dirty) -> Option<u32> {
        let (terms, blocks) = (&mut self.terms, &mut self.blocks);
        self.tables.make(draft, asked, |table, term| {
            let (id, first) = terms.ask(term, table);
            if first {
                if let (Peers::Block(block), None) = (&term.peers, &term.port)
                    && let Some(fact) = terms.intern(id, None)
                {
                    blocks.add(block, fact);
                }
                dirty.terms.push(term.clone());
            }
            id
        })
    }

    /// A table and what only it asked for are gone.
    pub(super) fn unmake(&mut self, number: u32, dirty: &mut Dirty) -> Option<Box<[u32]>> {
        let table = self.tables.remove(number, self.round)?;
        for id in table.terms() {
            let block = self.terms.get(id).filter(|asked| asked.tables.len() == 1).map(|asked| asked.term.clone());
            if let Some(term) = block
                && let Peers::Block(block) = &term.peers
                && term.port.is_none()
                && let Some(fact) = self.terms.intern(id, None)
            {
                for class in self.blocks.remove(block, fact) {
                    self.classes.let_go(class, self.round);
                }
            }
            dirty.terms.extend(self.terms.forget(id, number));
        }
        Some(table.rules)
    }

    /// Gives each boundary that changed its class.
    pub(super) fn classify_blocks(&mut self) {
        for at in self.blocks.touched() {
            let Some(boundary) = self.blocks.get_mut(at) else { continue };
            let (class, new) = self.classes.intern(&boundary.facts, false);
            if new {
                self.terms.enter(class, &boundary.facts);
            }
            if boundary.class != Some(class) {
                self.classes.hold(class);
                if let Some(old) = boundary.class.replace(class) {
                    self.classes.let_go(old, self.round);
                }
            }
        }
    }

    /// Gives an address a class.
    pub(super) fn hold(&mut self, address: IpAddr, held: Option<Held>, dirty: &mut Dirty) {
        let old = self.addresses.get(address).and_then(|entry| entry.held);
        dirty.before.entry(address).or_insert(old);
        if old == held {
            return;
        }
        if let Some(held) = held {
            self.classes.hold(held.class);
        }
        if let Some(old) = old {
            self.classes.let_go(old.class, self.round);
        }
        self.addresses.set(address, held);
    }

    /// The class of a set of facts.
    pub(super) fn class(&mut self, facts: &mut Vec<u32>, pod: bool) -> u32 {
        facts.sort_unstable();
        facts.dedup();
        let (class, new) = self.classes.intern(facts, pod);
        if new {
            self.terms.enter(class, facts);
        }
        class
    }

    /// Forgets a class.
    pub(super) fn drop_class(&mut self, class: u32) {
        if let Some(gone) = self.classes.remove(class, self.round) {
            self.terms.leave(class, &gone.facts);
        }
    }

    /// The facts of a class that some table still asks for.
    pub(super) fn live_facts(&self, class: u32) -> Vec<u32> {
        let facts = self.classes.facts(class).iter().copied();
        facts.filter(|fact| !self.terms.tables_of(*fact).is_empty()).collect()
    }
}
