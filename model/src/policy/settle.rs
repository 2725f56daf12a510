//! From what a change touched to the steps that put it in force.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::addresses::Held;
use super::classes::ANY_POD;
use super::draft::{self, Wanted};
use super::engine::{Engine, touch};
use super::locals::Full;
use super::space::Dirty;
use super::step::{RuleKey, Step, Word};
use super::tables::Draft;
use super::term::Peers;
use crate::objects::ObjectName;

/// What an endpoint is about to have.
#[derive(Debug)]
struct Flip {
    tables: [u32; 2],
    policies: [Box<[ObjectName]>; 2],
}

/// What one settling is about.
#[derive(Debug, Default)]
struct Plan {
    flips: BTreeMap<u32, Flip>,
    /// New tables, in the order of their making.
    made: Vec<u32>,
}

/// Keys to be inserted, each with its rule.
type Keys = Vec<(RuleKey, u32)>;

impl Engine {
    pub(super) fn settle(&mut self, mut dirty: Dirty) -> Vec<Step> {
        let mut plan = Plan::default();
        for index in std::mem::take(&mut dirty.endpoints) {
            self.plan_endpoint(index, &mut plan, &mut dirty);
        }
        self.classify(&mut dirty);
        let (fresh, tables) = self.fit(&mut plan, &mut dirty);
        self.emit(plan, dirty, fresh, tables)
    }

    /// Gives up what does not fit, the last first; answers with the keys of new classes, and of each new table.
    fn fit(&mut self, plan: &mut Plan, dirty: &mut Dirty) -> (Keys, Vec<Keys>) {
        loop {
            let keys = self.keys(plan);
            let Some(full) = self.overflow(&keys) else { return keys };
            let Some(table) = plan.made.last().copied() else {
                self.leave_out(dirty);
                return self.keys(plan);
            };
            self.give_up(table, full, plan, dirty);
        }
    }

    /// Finds or makes an endpoint's tables.
    fn plan_endpoint(&mut self, index: u32, plan: &mut Plan, dirty: &mut Dirty) {
        if self.locals.get(index).is_none() {
            return;
        }
        let wanted = draft::wanted(self.locals.pod(index, &self.pods), &mut self.policies);
        let mut tables = [0; 2];
        for (table, Wanted { draft, .. }) in tables.iter_mut().zip(&wanted) {
            let Some(draft) = draft else { continue };
            match self.table(draft, plan, dirty) {
                Some(number) => *table = number,
                None => {
                    self.drop_unheld(plan, dirty);
                    return self.stick(index, Full::Tables);
                }
            }
        }
        tables.iter().for_each(|table| self.space.tables.hold(*table));
        let policies = wanted.map(|wanted| wanted.policies.into());
        plan.flips.insert(index, Flip { tables, policies });
        if let Some(local) = self.locals.get_mut(index) {
            local.stuck = None;
        }
    }

    fn table(&mut self, draft: &Draft, plan: &mut Plan, dirty: &mut Dirty) -> Option<u32> {
        if let Some(number) = self.space.tables.find(draft) {
            return Some(number);
        }
        self.wake_up(dirty);
        let number = self.space.make(draft, dirty)?;
        if let Some(table) = self.space.tables.get(number) {
            table.rules.iter().for_each(|rule| self.policies.rules.hold(*rule));
        }
        plan.made.push(number);
        Some(number)
    }

    /// With the first table, peers begin to matter.
    fn wake_up(&mut self, dirty: &mut Dirty) {
        if std::mem::replace(&mut self.active, true) {
            return;
        }
        self.pods.ask(true);
        self.pods.iter().for_each(|pod| self.space.addresses.claim(pod));
        for (index, local) in self.locals.iter() {
            local.endpoint.addresses.iter().for_each(|address| self.space.addresses.lease(*address, index));
        }
        dirty.addresses.extend(self.space.addresses.iter().map(|(address, _)| address));
    }

    fn stick(&mut self, index: u32, full: Full) {
        if let Some(local) = self.locals.get_mut(index) {
            local.stuck = Some(full);
        }
    }

    /// A new table does not fit: the endpoints that wanted it keep what they have.
    fn give_up(&mut self, table: u32, full: Full, plan: &mut Plan, dirty: &mut Dirty) {
        let losers = plan.flips.extract_if(.., |_, flip| flip.tables.contains(&table));
        for (index, flip) in losers.collect::<Vec<_>>() {
            flip.tables.iter().for_each(|table| self.space.tables.let_go(*table, self.space.round));
            self.stick(index, full);
        }
        self.drop_unheld(plan, dirty);
        self.classify(dirty);
    }

    /// New tables that no endpoint will have are dropped.
    fn drop_unheld(&mut self, plan: &mut Plan, dirty: &mut Dirty) {
        let tables = &self.space.tables;
        let unheld = plan.made.extract_if(.., |table| tables.get(*table).is_none_or(|table| table.holders == 0));
        for table in unheld.collect::<Vec<_>>() {
            self.drop_table(table, dirty);
        }
    }

    /// Forgets a table and what only it asked for.
    pub(super) fn drop_table(&mut self, table: u32, dirty: &mut Dirty) {
        let rules = self.space.unmake(table, dirty);
        let round = self.space.round;
        rules.iter().flatten().for_each(|rule| self.policies.rules.let_go(*rule, round));
    }

    /// Gives everything that was touched its class.
    fn classify(&mut self, dirty: &mut Dirty) {
        for term in std::mem::take(&mut dirty.terms) {
            if let Peers::Block(block) = &term.peers {
                let within = self.space.addresses.within(block.cidr);
                dirty.addresses.extend(within.filter(|address| block.contains(*address)));
                continue;
            }
            let fulfils = |name: &_, selector: &_| self.labels_of(name).fulfil(selector);
            for pod in self.pods.candidates(&term.peers, fulfils) {
                let among = match &term.peers {
                    Peers::AnyPod => term.port.as_ref().is_none_or(|port| port.of(&pod).next().is_some()),
                    Peers::Own { namespace, pods } => *namespace == pod.name.namespace && pods.matches(&pod.labels),
                    Peers::Matching { pods, .. } => pods.matches(&pod.labels),
                    Peers::Block(_) => true,
                };
                if among {
                    touch(&pod, &self.locals, dirty);
                }
            }
        }
        self.space.classify_blocks();
        for address in std::mem::take(&mut dirty.addresses) {
            self.classify_address(address, dirty);
        }
        for class in self.space.classes.unwanted() {
            self.space.drop_class(class);
        }
    }

    fn classify_address(&mut self, address: IpAddr, dirty: &mut Dirty) {
        self.left_out.remove(&address);
        let room = self.space.addresses.len() <= self.limits.addresses;
        let entry = match self.space.addresses.claimed(address) {
            Ok(entry) => entry,
            Err(held) => {
                dirty.before.entry(address).or_insert(held);
                held.into_iter().for_each(|held| self.space.classes.let_go(held.class, self.space.round));
                return;
            }
        };
        if entry.held.is_none() && !room {
            self.left_out.insert(address);
            return;
        }
        let owner = match entry.endpoint {
            0 => entry.owner(),
            index => self.locals.pod(index, &self.pods),
        };
        let pod = owner.filter(|pod| pod.is_networked()).cloned();
        let mut facts = self.space.blocks.at(address).map_or(vec![], |boundary| boundary.facts.clone());
        if let Some(pod) = &pod {
            let unknown;
            let namespace = match self.namespaces.get(&pod.name.namespace) {
                Some(labels) => labels,
                None => {
                    unknown = super::term::NamespaceLabels::unknown(&pod.name.namespace);
                    &unknown
                }
            };
            self.space.terms.of_pod(pod, address, namespace, &mut facts);
        }
        let class = self.space.class(&mut facts, pod.is_some());
        self.space.hold(address, Some(Held { class, pod: pod.is_some() }), dirty);
    }

    /// The keys of new classes in live tables, and of new tables.
    fn keys(&self, plan: &Plan) -> (Keys, Vec<Keys>) {
        let space = &self.space;
        let fresh = space.classes.fresh().iter();
        let fresh = fresh.flat_map(|class| space.tables.keys_of_class(*class, &space.terms, &space.classes)).collect();
        let tables = plan.made.iter().map(|table| space.tables.keys_of_table(*table, &space.terms)).collect();
        (fresh, tables)
    }

    /// What does not fit.
    fn overflow(&self, (fresh, tables): &(Keys, Vec<Keys>)) -> Option<Full> {
        let added = fresh.len() + tables.iter().map(Vec::len).sum::<usize>();
        if added > 0 && self.space.keys + added > self.limits.keys {
            return Some(Full::Keys);
        }
        let is_new = !tables.is_empty() && self.space.blocks.len() > self.limits.blocks;
        is_new.then_some(Full::Blocks)
    }

    /// No new class fits: peers keep what is as good as what they should have, or else lose what only a new class would
    /// give them.
    fn leave_out(&mut self, dirty: &mut Dirty) {
        for at in self.space.blocks.touched() {
            let Some(now) = self.space.blocks.get(at).and_then(|boundary| boundary.class) else { continue };
            if let Some(before) = self.space.blocks.before(at).filter(|_| !self.space.classes.is_written(now)) {
                self.space.classes.hold(before);
                self.space.classes.let_go(now, self.space.round);
                if let Some(boundary) = self.space.blocks.get_mut(at) {
                    boundary.class = Some(before);
                }
                self.retry_blocks.push(at);
            }
        }
        let touched: Vec<_> = dirty.before.iter().map(|(address, held)| (*address, *held)).collect();
        for (address, before) in touched {
            let Some(now) = self.space.addresses.get(address).and_then(|entry| entry.held) else { continue };
            if self.space.classes.is_written(now.class) {
                continue;
            }
            let facts = self.space.classes.facts(now.class);
            let as_good = before.filter(|old| old.pod == now.pod && *self.space.live_facts(old.class) == **facts);
            let bare = self.space.blocks.at(address).and_then(|boundary| boundary.class).filter(|class| *class != 0);
            let class = bare.unwrap_or(if now.pod { ANY_POD } else { 0 });
            self.space.hold(address, Some(as_good.unwrap_or(Held { class, pod: now.pod })), dirty);
            self.left_out.insert(address);
        }
        for class in self.space.classes.unwanted() {
            self.space.drop_class(class);
        }
    }

    fn emit(&mut self, plan: Plan, dirty: Dirty, fresh: Keys, tables: Vec<Keys>) -> Vec<Step> {
        // What is no endpoint's any more sees nothing of what follows.
        let mut steps: Vec<Step> = dirty.cleared.iter().copied().map(Step::ClearWord).collect();
        self.space.keys += fresh.len();
        push_rules(fresh, &mut steps);
        self.space.classes.mark_written();
        for (number, keys) in plan.made.iter().zip(tables) {
            let Some(table) = self.space.tables.get_mut(*number) else { continue };
            table.written = true;
            steps.push(Step::SetTable { table: *number, uses: table.uses });
            self.space.keys += keys.len();
            push_rules(keys, &mut steps);
        }
        let mut blocks = self.space.blocks.take_touched();
        blocks.sort_by_key(|(prefix, ..)| Reverse(prefix.prefix()));
        let set = blocks.iter().filter(|(_, before, now)| before != now);
        steps.extend(set.filter_map(|(prefix, _, now)| now.map(|class| Step::SetBlock(*prefix, class))));
        let gone = blocks.iter().rev().filter(|(_, before, now)| before.is_some() && now.is_none());
        steps.extend(gone.map(|(prefix, ..)| Step::RemoveBlock(*prefix)));
        let stale = self.emit_addresses(&dirty, &mut steps);
        self.emit_words(plan, &stale, &mut steps);
        steps
    }

    /// Writes what changed about addresses; returns the tables that tell it.
    fn emit_addresses(&self, dirty: &Dirty, steps: &mut Vec<Step>) -> BTreeSet<u32> {
        let mut moves = BTreeSet::new();
        for (address, before) in &dirty.before {
            let now = self.space.addresses.get(*address).and_then(|entry| entry.held);
            if *before == now {
                continue;
            }
            match now {
                Some(Held { class, pod }) => steps.push(Step::SetClass(*address, class, pod)),
                None => steps.push(Step::RemoveClass(*address)),
            }
            let bare = || {
                let class = self.space.blocks.at(*address).and_then(|boundary| boundary.class).unwrap_or(0);
                Held { class, pod: false }
            };
            moves.insert((before.unwrap_or_else(bare), now.unwrap_or_else(bare)));
        }
        let mut stale = BTreeSet::new();
        for (before, now) in moves {
            let (old, new) = (self.space.classes.facts(before.class), self.space.classes.facts(now.class));
            let differ = old.iter().filter(|fact| new.binary_search(fact).is_err());
            let differ = differ.chain(new.iter().filter(|fact| old.binary_search(fact).is_err()));
            stale.extend(differ.flat_map(|fact| self.space.terms.tables_of(*fact)));
            if before.pod != now.pod {
                stale
                    .extend(self.space.tables.iter().filter(|(_, table)| table.tells_pods()).map(|(number, _)| number));
            }
        }
        stale
    }

    /// Stores the words of endpoints that get other tables, and of those whose tables are `stale`.
    fn emit_words(&mut self, mut plan: Plan, stale: &BTreeSet<u32>, steps: &mut Vec<Step>) {
        let indices: Vec<u32> = match stale.is_empty() {
            true => plan.flips.keys().copied().collect(),
            false => self.locals.iter().map(|(index, _)| index).collect(),
        };
        let mut words = Vec::new();
        for index in indices {
            let Some(local) = self.locals.get_mut(index) else { continue };
            let before = local.tables;
            if let Some(Flip { tables, policies }) = plan.flips.remove(&index) {
                (local.tables, local.policies) = (Some(tables), policies);
                let round = self.space.round;
                before.iter().flatten().for_each(|table| self.space.tables.let_go(*table, round));
            }
            let Some(tables) = local.tables else { continue };
            if before != local.tables || tables.iter().any(|table| stale.contains(table)) {
                words.push(Word { index, ingress: tables[0], egress: tables[1] });
            }
        }
        if !words.is_empty() {
            steps.push(Step::SetWords(words));
        }
    }
}

fn push_rules(rules: Keys, steps: &mut Vec<Step>) {
    if !rules.is_empty() {
        steps.push(Step::InsertRules(rules));
    }
}
