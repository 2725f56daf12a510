//! From what a change touched to the tables that shall be in force, as far as they fit. A direction that should be isolated
//! is never open: what does not fit leaves the table that was in force, where there is no room now; where there was none,
//! or more is asked for than a share, the direction is closed.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    draft::Draft,
    engine::Engine,
    limits::CLOSED,
    locals::{Full, Stuck},
    space::Dirty,
    step::{RuleKey, Step},
    wanted::{self, Wanted},
};
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

/// What did not fit is tried again after two to the power of this many rounds at most: two minutes.
const LONGEST: u32 = 6;

impl Engine {
    pub(super) fn settle(&mut self, mut dirty: Dirty) -> Vec<Step> {
        let mut plan = Plan::default();
        self.share(&mut dirty);
        for index in std::mem::take(&mut dirty.endpoints) {
            self.plan_endpoint(index, &mut plan, &mut dirty);
        }
        self.classify(&mut dirty);
        let (fresh, tables) = self.fit(&mut plan, &mut dirty);
        self.emit(plan, dirty, fresh, tables)
    }

    /// Finds or makes an endpoint's tables.
    fn plan_endpoint(&mut self, index: u32, plan: &mut Plan, dirty: &mut Dirty) {
        let Some(local) = self.locals.get(index) else { return };
        let namespace = local.endpoint.pod.as_ref().map(|pod| pod.namespace.clone());
        let wanted = wanted::wanted(self.locals.pod(index, &self.pods), &mut self.policies);
        let policies = wanted.each_ref().map(|wanted| wanted.policies.as_slice().into());
        plan.flips.insert(index, Flip { tables: [0; 2], policies });
        for (at, Wanted { draft, .. }) in wanted.iter().enumerate() {
            let found = match (draft, &namespace) {
                (Some(draft), Some(namespace)) => self.table(namespace, draft, plan, dirty),
                _ => Ok(0),
            };
            match found {
                Ok(table) => self.give(index, at, table, plan),
                Err(full) => self.stick(index, at, full, plan),
            }
        }
    }

    fn table(&mut self, namespace: &Arc<str>, draft: &Draft, plan: &mut Plan, dirty: &mut Dirty) -> Result<u32, Full> {
        if draft.rules.is_empty() {
            return Ok(CLOSED);
        }
        if let Some(refusal) = self.book.refusal(namespace, &draft.spec, &self.limits) {
            return Err(Full::Refused(refusal));
        }
        if let Some(number) = self.space.tables.find(draft) {
            return Ok(number);
        }
        let ask = self.book.ask(namespace, &draft.spec);
        if self.is_busy(namespace, ask) {
            return Err(Full::Busy);
        }
        self.wake_up(dirty);
        let number = self.space.make(draft, (namespace, ask), dirty).ok_or(Full::Tables)?;
        if let Some(table) = self.space.tables.get(number) {
            table.rules.iter().for_each(|rule| self.policies.rules.hold(*rule));
        }
        if self.space.blocks.take_overfull() {
            self.drop_table(number, dirty);
            return Err(Full::Blocks);
        }
        plan.made.push(number);
        Ok(number)
    }

    /// A direction gets what it should have.
    fn give(&mut self, index: u32, at: usize, table: u32, plan: &mut Plan) {
        self.replace(index, at, table, plan);
        if let Some(local) = self.locals.get_mut(index) {
            local.stuck[at] = None;
        }
    }

    /// A direction cannot have what it should have. Where it is isolated and there is only no room now, it keeps what it
    /// has; else it is closed.
    pub(super) fn stick(&mut self, index: u32, at: usize, full: Full, plan: &mut Plan) {
        let names = plan.flips.get(&index).map_or(&[][..], |flip| &flip.policies[at]);
        let largest = self.policies.largest(names, at).cloned();
        let Some(local) = self.locals.get_mut(index) else { return };
        // What was superseded goes by itself; what others have may never go.
        let pause = if full == Full::Busy { 1 } else { 1 << local.tries[at].min(LONGEST) };
        local.tries[at] += 1;
        let stuck = Stuck { full, largest, freed: self.freed, again: self.space.round + pause };
        let kept = local.tables.map(|tables| tables[at]).filter(|table| stuck.waits() && *table != 0);
        local.stuck[at] = Some(stuck);
        self.replace(index, at, kept.unwrap_or(CLOSED), plan);
    }

    /// A direction of a flip names another table.
    pub(super) fn replace(&mut self, index: u32, at: usize, table: u32, plan: &mut Plan) {
        let Some(flip) = plan.flips.get_mut(&index) else { return };
        self.space.tables.hold(table);
        let before = std::mem::replace(&mut flip.tables[at], table);
        self.space.tables.let_go(before, self.space.round);
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

    /// New tables that no endpoint will have are dropped.
    pub(super) fn drop_unheld(&mut self, plan: &mut Plan, dirty: &mut Dirty) {
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
}
