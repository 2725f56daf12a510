//! Tables: compiled results, each shared by the endpoints whose result it is. A table's keys are not kept, since they
//! follow from its clauses and the classes that there are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use ferrule_common::policy;

use super::{
    classes::{ANY_POD, ANYONE, Classes},
    demand::Demand,
    draft::Draft,
    limits::CLOSED,
    numbers::Numbers,
    port::{PortPrefix, number},
    rule::Whom,
    step::RuleKey,
    terms::{Fact, Terms},
};

/// What a rule allows the peers of a term.
#[derive(Debug)]
struct Clause {
    rule: u32,
    /// Not used for a term with a port.
    ports: Arc<[PortPrefix]>,
}

/// One table.
#[derive(Debug)]
pub(super) struct Table {
    spec: Arc<[u64]>,
    by_term: HashMap<u32, Vec<Clause>>,
    by_wildcard: Vec<(u32, Clause)>,
    pub(super) rules: Box<[u32]>,
    pub(super) uses: u32,
    /// How many endpoints have it, or will.
    pub(super) holders: usize,
    /// The round since when no endpoint has it.
    idle: u64,
    pub(super) written: bool,
    /// Whose policies it is made of, and how much they ask for.
    pub(super) owner: Arc<str>,
    pub(super) demand: Demand,
}

/// Every table that is in the maps or will be.
#[derive(Debug)]
pub(super) struct Tables {
    by_number: BTreeMap<u32, Table>,
    by_spec: HashMap<Arc<[u64]>, u32>,
    pub(super) numbers: Numbers,
    idle: Vec<(u64, u32)>,
    /// What each namespace's tables ask for, superseded ones included, and how many they are.
    held: HashMap<Arc<str>, (Demand, usize)>,
}

impl Tables {
    pub(super) fn new(last: u32, taken: BTreeSet<u32>) -> Self {
        let numbers = Numbers::new(1, last.min(CLOSED - 1), taken);
        Self { by_number: BTreeMap::new(), by_spec: HashMap::new(), numbers, idle: Vec::new(), held: HashMap::new() }
    }

    pub(super) fn find(&self, draft: &Draft) -> Option<u32> {
        self.by_spec.get(&*draft.spec).copied()
    }

    /// A new table; `ask` gives a term's number. None if there is no number left.
    pub(super) fn make(
        &mut self,
        draft: &Draft,
        (owner, asked): (&Arc<str>, Demand),
        mut ask: impl FnMut(u32, &Arc<super::term::Term>) -> u32,
    ) -> Option<u32> {
        let number = self.numbers.take()?;
        let mut table = Table {
            spec: draft.spec.as_slice().into(),
            by_term: HashMap::new(),
            by_wildcard: Vec::new(),
            rules: draft.rules.iter().map(|(rule, _)| rule.number).collect(),
            uses: 0,
            holders: 0,
            idle: 0,
            written: false,
            owner: owner.clone(),
            demand: asked,
        };
        let (sum, count) = self.held.entry(owner.clone()).or_default();
        sum.add(asked);
        *count += 1;
        for (rule, ports) in &draft.rules {
            if ports.is_empty() && rule.by_peer.is_empty() {
                continue;
            }
            let clause = || Clause { rule: rule.number, ports: ports.clone() };
            for whom in rule.whom.iter().filter(|_| !ports.is_empty()) {
                table.uses |= ports.iter().map(length).fold(0, |all, one| all | one);
                match whom {
                    Whom::Anyone => table.by_wildcard.push((ANYONE, clause())),
                    Whom::AnyPod => table.by_wildcard.push((ANY_POD, clause())),
                    Whom::Term(term) => table.by_term.entry(ask(number, term)).or_default().push(clause()),
                }
            }
            for term in &rule.by_peer {
                table.uses |= 1 << 16;
                table.by_term.entry(ask(number, term)).or_default().push(clause());
            }
        }
        let wild = |class| table.by_wildcard.iter().any(|(other, _)| *other == class);
        let flags = [
            (!table.by_term.is_empty(), policy::BY_CLASS),
            (wild(ANY_POD), policy::BY_POD),
            (wild(ANYONE), policy::BY_ANYONE),
        ];
        table.uses |= flags.iter().filter(|(is, _)| *is).fold(0, |all, (_, bit)| all | bit);
        self.by_spec.insert(table.spec.clone(), number);
        self.by_number.insert(number, table);
        Some(number)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Table> {
        self.by_number.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Table> {
        self.by_number.get_mut(&number)
    }

    /// One more endpoint has it. Table 0 is everyone's.
    pub(super) fn hold(&mut self, number: u32) {
        if let Some(table) = self.by_number.get_mut(&number) {
            table.holders += 1;
        }
    }

    /// One endpoint less has it.
    pub(super) fn let_go(&mut self, number: u32, round: u64) {
        let Some(table) = self.by_number.get_mut(&number) else { return };
        table.holders -= 1;
        if table.holders == 0 {
            table.idle = round;
            self.idle.push((round, number));
        }
    }

    /// Tables that no endpoint has had since before `round`.
    pub(super) fn idle(&mut self, round: u64) -> Vec<u32> {
        let by_number = &self.by_number;
        self.idle.retain(|(since, number)| {
            by_number.get(number).is_some_and(|table| table.holders == 0 && table.idle == *since)
        });
        let mut found: Vec<u32> = self.idle.extract_if(.., |(since, _)| *since < round).map(|(_, one)| one).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Forgets a table.
    pub(super) fn remove(&mut self, number: u32, round: u64) -> Option<Table> {
        let table = self.by_number.remove(&number)?;
        self.by_spec.remove(&table.spec);
        if let Some((sum, count)) = self.held.get_mut(&table.owner) {
            sum.subtract(table.demand);
            *count -= 1;
            if *count == 0 {
                self.held.remove(&table.owner);
            }
        }
        if table.written {
            self.numbers.rest(number, round)
        } else {
            self.numbers.put_back(number)
        }
        Some(table)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Table)> {
        self.by_number.iter().map(|(number, table)| (*number, table))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// What a namespace's tables ask for, superseded ones included, and how many they are.
    pub(super) fn held_by(&self, namespace: &Arc<str>) -> (Demand, usize) {
        self.held.get(namespace).copied().unwrap_or_default()
    }

    /// At least as many keys as a class has in the tables that are written; counting ends beyond `most`.
    pub(super) fn count_of_class(&self, class: u32, terms: &Terms, classes: &Classes, most: usize) -> usize {
        let mut count = 0_usize;
        for id in classes.facts(class).iter() {
            let Some(fact) = terms.fact(*id) else { continue };
            for table in terms.tables_of(*id).iter().filter_map(|number| self.get(*number)) {
                count += if table.written { table.ports_of(fact) } else { 0 };
                if count > most {
                    return count;
                }
            }
        }
        count
    }

    /// At least as many keys as a table has; counting ends beyond `most`.
    pub(super) fn count_of_table(&self, number: u32, terms: &Terms, most: usize) -> usize {
        let Some(table) = self.get(number) else { return 0 };
        let mut count: usize = table.by_wildcard.iter().map(|(_, clause)| clause.ports.len()).sum();
        for fact in table.by_term.keys().flat_map(|term| terms.facts_of(*term)) {
            if count > most {
                break;
            }
            count = count.saturating_add(fact.classes.len().saturating_mul(table.ports_of(fact)));
        }
        count
    }

    /// Whether nothing waits to be removed.
    pub(super) fn is_settled(&self) -> bool {
        self.idle.is_empty() && self.numbers.is_settled()
    }

    /// The keys of a class in the tables that are written, each once.
    pub(super) fn keys_of_class(&self, class: u32, terms: &Terms, classes: &Classes) -> Vec<(RuleKey, u32)> {
        let mut keys = Vec::new();
        for id in classes.facts(class).iter() {
            let Some(fact) = terms.fact(*id) else { continue };
            for number in terms.tables_of(*id) {
                if let Some(table) = self.get(*number).filter(|table| table.written) {
                    table.keys(*number, class, fact, terms, &mut keys);
                }
            }
        }
        once(keys)
    }

    /// Every key of a table, each once.
    pub(super) fn keys_of_table(&self, number: u32, terms: &Terms) -> Vec<(RuleKey, u32)> {
        let Some(table) = self.get(number) else { return vec![] };
        let mut keys = Vec::new();
        for (class, clause) in &table.by_wildcard {
            let key = |port: &PortPrefix| (RuleKey { table: number, class: *class, port: *port }, clause.rule);
            keys.extend(clause.ports.iter().map(key));
        }
        for fact in table.by_term.keys().flat_map(|term| terms.facts_of(*term)) {
            fact.classes.iter().for_each(|class| table.keys(number, *class, fact, terms, &mut keys));
        }
        once(keys)
    }
}

impl Table {
    /// The terms that it asks for.
    pub(super) fn terms(&self) -> impl Iterator<Item = u32> {
        self.by_term.keys().copied()
    }

    /// Whether it tells a pod from what is none.
    pub(super) fn tells_pods(&self) -> bool {
        self.uses & policy::BY_POD != 0
    }

    /// How many keys a class has since a fact holds for it, each clause's counted.
    fn ports_of(&self, fact: &Fact) -> usize {
        let clauses = self.by_term.get(&fact.term).into_iter().flatten();
        clauses.map(|clause| if fact.port.is_some() { 1 } else { clause.ports.len() }).sum()
    }

    /// The keys that a class has since a fact holds for it.
    fn keys(&self, number: u32, class: u32, fact: &Fact, terms: &Terms, keys: &mut Vec<(RuleKey, u32)>) {
        let named = || terms.get(fact.term).and_then(|asked| asked.term.port.as_ref());
        let port = fact.port.zip(named()).map(|(port, name)| PortPrefix::one(self::number(name.protocol), port));
        for clause in self.by_term.get(&fact.term).into_iter().flatten() {
            let ports = port.as_ref().map_or(&*clause.ports, std::slice::from_ref);
            let key = |port: &PortPrefix| (RuleKey { table: number, class, port: *port }, clause.rule);
            keys.extend(ports.iter().map(key));
        }
    }
}

fn length(prefix: &PortPrefix) -> u32 {
    if prefix.protocol == 0 { policy::ANY_PROTOCOL } else { 1 << prefix.bits }
}

/// Of several rules that allow the same, the one with the lowest number.
fn once(mut keys: Vec<(RuleKey, u32)>) -> Vec<(RuleKey, u32)> {
    keys.sort_unstable();
    keys.dedup_by_key(|(key, _)| *key);
    keys
}
