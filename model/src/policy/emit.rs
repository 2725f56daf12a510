//! From what was settled to the steps, in the order that [`Engine::apply`] explains.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{
    addresses::Held,
    engine::Engine,
    settle::{Flip, Keys, Plan},
    space::Dirty,
    step::{Step, Word},
};

impl Engine {
    pub(super) fn emit(&mut self, plan: Plan, dirty: Dirty, fresh: Keys, tables: Vec<Keys>) -> Vec<Step> {
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
                let tried = local.stuck.each_ref().map(Option::is_some);
                local.tries.iter_mut().zip(tried).filter(|(_, tried)| !tried).for_each(|(tries, _)| *tries = 0);
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
