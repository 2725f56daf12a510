//! What earlier steps superseded, removed when no program can name it any more.

use super::{
    addresses::Addresses,
    engine::Engine,
    locals::Stuck,
    space::Dirty,
    step::{RuleKey, Step},
};

impl Engine {
    /// To be called in intervals of at least a grace period, while [`Engine::is_settled`] says no. Removes what was
    /// superseded before the call before this one, and tries again what did not fit, if there is more room since and after
    /// growing pauses; the numbers of what went are used again after the next call.
    pub fn retire(&mut self) -> Vec<Step> {
        self.space.round += 1;
        let round = self.space.round;
        // What was superseded since the last call has round - 1, and may be as young as this moment.
        let rested = round.saturating_sub(1);
        let mut dirty = Dirty::default();
        let mut steps = Vec::new();
        for table in self.space.tables.idle(rested) {
            steps.push(Step::ClearTable(table));
            let keys = self.space.tables.keys_of_table(table, &self.space.terms);
            self.forget_keys(keys, &mut steps);
            self.drop_table(table, &mut dirty);
            self.freed += 1;
        }
        for class in self.space.classes.idle(rested) {
            let keys = self.space.tables.keys_of_class(class, &self.space.terms, &self.space.classes);
            self.forget_keys(keys, &mut steps);
            self.space.drop_class(class);
            self.freed += 1;
        }
        self.freed += u64::from(self.space.tables.numbers.wake(round));
        self.space.classes.wake(round);
        self.policies.rules.wake(rested);
        if self.freed != self.left_at {
            dirty.addresses.append(&mut self.left_out);
            std::mem::take(&mut self.retry_blocks).into_iter().for_each(|at| self.space.blocks.touch(at));
        }
        let due = |stuck: &Stuck| stuck.may_fit(self.freed) && round >= stuck.again;
        let stuck = self.locals.iter().filter(|(_, local)| local.stuck.iter().flatten().any(due));
        dirty.endpoints = stuck.map(|(index, _)| index).collect();
        steps.extend(self.settle(dirty));
        if self.active && self.space.tables.is_empty() {
            self.fall_asleep(&mut steps);
        }
        steps
    }

    /// Whether no call of [`Engine::retire`] would do anything.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let may_fit = |stuck: &Stuck| stuck.may_fit(self.freed);
        let stuck = self.locals.iter().any(|(_, local)| local.stuck.iter().flatten().any(may_fit));
        let left_out = !self.left_out.is_empty() && self.freed != self.left_at;
        let space = &self.space;
        space.tables.is_settled() && space.classes.is_settled() && !left_out && !stuck
    }

    fn forget_keys(&mut self, keys: Vec<(RuleKey, u32)>, steps: &mut Vec<Step>) {
        self.space.keys -= keys.len();
        if !keys.is_empty() {
            steps.push(Step::RemoveRules(keys.into_iter().map(|(key, _)| key).collect()));
        }
    }

    /// Without a table peers matter no more.
    fn fall_asleep(&mut self, steps: &mut Vec<Step>) {
        self.active = false;
        self.pods.ask(false);
        self.left_out.clear();
        let addresses = std::mem::take(&mut self.space.addresses);
        for (address, entry) in Addresses::iter(&addresses) {
            if let Some(held) = entry.held {
                steps.push(Step::RemoveClass(address));
                self.space.classes.let_go(held.class, self.space.round);
            }
        }
    }
}
