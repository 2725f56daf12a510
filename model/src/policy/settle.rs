//! From what a change touched to the tables that shall be in force, as far as they fit.

use std::collections::BTreeMap;

use super::draft::{self, Wanted};
use super::engine::Engine;
use super::locals::Full;
use super::space::Dirty;
use super::step::{RuleKey, Step};
use super::tables::Draft;
use crate::objects::ObjectName;

/// What an endpoint is about to have.
#[derive(Debug)]
pub(super) struct Flip {
    pub(super) tables: [u32; 2],
    pub(super) policies: [Box<[ObjectName]>; 2],
}

/// What one settling is about.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) flips: BTreeMap<u32, Flip>,
    /// New tables, in the order of their making.
    pub(super) made: Vec<u32>,
}

/// Keys to be inserted, each with its rule.
pub(super) type Keys = Vec<(RuleKey, u32)>;

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
}
