//! Classes: sets of facts. Two peers with the same facts are one to every table; a fact is a term that a peer fulfils,
//! with the peer's own port number where the term names one.

use std::{collections::HashMap, sync::Arc};

use super::numbers::Numbers;

/// The class that every peer has.
pub const ANYONE: u32 = 0;
/// The class that every pod has.
pub const ANY_POD: u32 = 1;
/// The first class that stands for a set of facts.
const FIRST: u32 = 2;

/// Facts in order.
pub(super) type Facts = Arc<[u32]>;

/// One interned set.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) facts: Facts,
    /// How many addresses and prefixes have it.
    holders: usize,
    /// The round since when nothing has it.
    idle: u64,
    /// Its keys are in every live table.
    pub(super) written: bool,
}

/// Every class that something has, or had lately.
#[derive(Debug)]
pub(super) struct Classes {
    by_facts: HashMap<Facts, u32>,
    by_number: Vec<Option<Class>>,
    numbers: Numbers,
    /// Classes that nothing has, with the round since when.
    idle: Vec<(u64, u32)>,
    /// Classes whose keys are not written yet.
    fresh: Vec<u32>,
    none: Facts,
}

impl Default for Classes {
    fn default() -> Self {
        Self {
            by_facts: HashMap::new(),
            by_number: Vec::new(),
            numbers: Numbers::new(FIRST, u32::MAX, Default::default()),
            idle: Vec::new(),
            fresh: Vec::new(),
            none: Arc::from([]),
        }
    }
}

impl Classes {
    /// The number of a set of facts, sorted; whether it is a new one.
    pub(super) fn intern(&mut self, facts: &[u32], pod: bool) -> (u32, bool) {
        if facts.is_empty() {
            return (if pod { ANY_POD } else { ANYONE }, false);
        }
        if let Some(number) = self.by_facts.get(facts) {
            return (*number, false);
        }
        // Four thousand million classes in use: memory ends before.
        let Some(number) = self.numbers.take() else { return (ANYONE, false) };
        let facts: Facts = facts.into();
        let class = Class { facts: facts.clone(), holders: 0, idle: 0, written: false };
        let at = number as usize;
        if self.by_number.len() <= at {
            self.by_number.resize_with(at + 1, || None);
        }
        self.by_number[at] = Some(class);
        self.by_facts.insert(facts, number);
        self.fresh.push(number);
        (number, true)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Class> {
        self.by_number.get(number as usize)?.as_ref()
    }

    /// The facts of a class; none of a wildcard's.
    pub(super) fn facts(&self, number: u32) -> &Facts {
        self.get(number).map_or(&self.none, |class| &class.facts)
    }

    /// One more address or prefix has it.
    pub(super) fn hold(&mut self, number: u32) {
        if let Some(Some(class)) = self.by_number.get_mut(number as usize) {
            class.holders += 1;
        }
    }

    /// One less has it.
    pub(super) fn let_go(&mut self, number: u32, round: u64) {
        if let Some(Some(class)) = self.by_number.get_mut(number as usize) {
            class.holders -= 1;
            if class.holders == 0 {
                class.idle = round;
                self.idle.push((round, number));
            }
        }
    }

    /// Whether a class is in the tables; wildcards always are.
    pub(super) fn is_written(&self, number: u32) -> bool {
        self.get(number).is_none_or(|class| class.written)
    }

    /// The classes whose keys are still to be written, in order.
    pub(super) fn fresh(&self) -> &[u32] {
        &self.fresh
    }

    /// The fresh ones are written now.
    pub(super) fn mark_written(&mut self) {
        for number in std::mem::take(&mut self.fresh) {
            if let Some(Some(class)) = self.by_number.get_mut(number as usize) {
                class.written = true;
            }
        }
    }

    /// Classes that nothing has had since before `round`.
    pub(super) fn idle(&mut self, round: u64) -> Vec<u32> {
        let by_number = &self.by_number;
        let class = |number: u32| by_number.get(number as usize).and_then(Option::as_ref);
        self.idle.retain(|(since, number)| {
            class(*number).is_some_and(|class| class.holders == 0 && class.idle == *since && class.written)
        });
        let mut found: Vec<u32> = self.idle.extract_if(.., |(since, _)| *since < round).map(|(_, one)| one).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Fresh classes that nothing has.
    pub(super) fn unwanted(&mut self) -> Vec<u32> {
        let by_number = &self.by_number;
        let unheld = |number: &mut u32| {
            by_number.get(*number as usize).and_then(Option::as_ref).is_none_or(|class| class.holders == 0)
        };
        self.fresh.extract_if(.., unheld).collect()
    }

    /// Forgets a class.
    pub(super) fn remove(&mut self, number: u32, round: u64) -> Option<Class> {
        let class = self.by_number.get_mut(number as usize)?.take()?;
        self.by_facts.remove(&class.facts);
        if class.written {
            self.numbers.rest(number, round)
        } else {
            self.numbers.put_back(number)
        }
        Some(class)
    }

    pub(super) fn wake(&mut self, round: u64) {
        self.numbers.wake(round);
    }

    /// Whether nothing waits to be removed.
    pub(super) fn is_settled(&self) -> bool {
        self.idle.is_empty() && self.numbers.is_settled()
    }

    pub(super) fn len(&self) -> usize {
        self.by_facts.len()
    }
}
