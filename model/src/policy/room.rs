//! What of a plan fits. Keys are counted before any is made, and counting ends at the limit. Where there is too little room
//! for all, the namespace that asks for most gives way.

use std::{cmp::Reverse, sync::Arc};

use super::{
    demand::Demand,
    engine::Engine,
    limits::CLOSED,
    locals::Full,
    settle::{Flip, Keys, Plan},
    space::Dirty,
};

impl Engine {
    /// Gives up what does not fit; answers with the keys of new classes, and of each new table.
    pub(super) fn fit(&mut self, plan: &mut Plan, dirty: &mut Dirty) -> (Keys, Vec<Keys>) {
        while let Some((full, losers)) = self.overflow(plan) {
            if losers.is_empty() {
                self.leave_out(dirty);
                break;
            }
            let rivals = losers.iter().filter_map(|table| self.space.tables.get(*table));
            let least = rivals.map(|table| self.book.sum(&table.owner).weight()).min().unwrap_or_default();
            losers.into_iter().for_each(|table| self.give_up(table, full, plan));
            self.drop_unheld(plan, dirty);
            self.evict(least, plan);
            self.classify(dirty);
        }
        self.keys(plan)
    }

    /// Whether what a namespace's changes superseded has to go before there may be more.
    pub(super) fn is_busy(&self, namespace: &Arc<str>, ask: Demand) -> bool {
        let (mut held, count) = self.space.tables.held_by(namespace);
        held.add(ask);
        let of = self.limits.of_namespace;
        let twice = Demand {
            keys: of.keys.saturating_mul(2),
            prefixes: of.prefixes.saturating_mul(2),
            selectors: of.selectors.saturating_mul(2),
        };
        held.excess(&twice).is_some() || count > 0 && count >= self.limits.tables as usize / 2
    }

    /// What does not fit, and the new tables that give way, those of the greediest namespace first; none of them: what peers
    /// should have is too much.
    fn overflow(&self, plan: &Plan) -> Option<(Full, Vec<u32>)> {
        let (space, most) = (&self.space, self.limits.keys);
        let mut made: Vec<(usize, Demand, u32)> = Vec::with_capacity(plan.made.len());
        for number in &plan.made {
            let Some(table) = space.tables.get(*number) else { continue };
            made.push((self.book.sum(&table.owner).weight(), table.demand, *number));
        }
        made.sort_unstable_by_key(|(weight, ask, number)| Reverse((*weight, ask.weight(), *number)));
        if let Some((.., number)) = made.first()
            && space.blocks.len() > self.limits.blocks_for(self.owner_asks(*number))
        {
            return Some((Full::Blocks, vec![*number]));
        }
        let mut fresh = 0_usize;
        for class in space.classes.fresh() {
            fresh = fresh.saturating_add(space.tables.count_of_class(*class, &space.terms, &space.classes, most));
            if fresh > most {
                break;
            }
        }
        let counts: Vec<usize> =
            made.iter().map(|(_, _, number)| space.tables.count_of_table(*number, &space.terms, most)).collect();
        let mut total = counts.iter().fold(space.keys.saturating_add(fresh), |sum, one| sum.saturating_add(*one));
        let (mut losers, added) = (Vec::new(), total - space.keys);
        for ((weight, _, number), count) in made.iter().zip(counts) {
            // Without the greediest, others' may be smaller.
            if *weight != made[0].0 || total <= self.limits.keys_for(self.owner_asks(*number)) {
                break;
            }
            losers.push(*number);
            total = total.saturating_sub(count);
        }
        let too_many = added > 0 && (!losers.is_empty() || total > most);
        too_many.then_some((Full::Keys, losers))
    }

    /// What the namespace of a table asks for in all.
    fn owner_asks(&self, table: u32) -> Demand {
        self.space.tables.get(table).map(|table| self.book.sum(&table.owner)).unwrap_or_default()
    }

    /// A new table does not fit: the endpoints that wanted it are stuck.
    fn give_up(&mut self, table: u32, full: Full, plan: &mut Plan) {
        let holders = plan.flips.iter().filter(|(_, flip)| flip.tables.contains(&table));
        for index in holders.map(|(index, _)| *index).collect::<Vec<_>>() {
            for at in 0..2 {
                if plan.flips.get(&index).is_some_and(|flip| flip.tables[at] == table) {
                    self.stick(index, at, full, plan);
                }
            }
        }
    }

    /// Closes whom the largest table in force serves, of the namespace that asks for most, if that is more than `least`: as
    /// soon as its keys have gone, there is room for those who ask for less.
    fn evict(&mut self, least: usize, plan: &mut Plan) {
        let in_force = self.space.tables.iter().filter(|(_, table)| table.written && table.holders > 0);
        let asked = in_force.map(|(number, table)| (self.book.sum(&table.owner), table.demand.weight(), number));
        let greedy = asked.filter(|(sum, ..)| sum.excess(&self.limits.modest).is_some() && sum.weight() > least);
        let Some((.., victim)) = greedy.max_by_key(|(sum, weight, number)| (sum.weight(), *weight, *number)) else {
            return;
        };
        let named = |tables: &[u32; 2]| tables.contains(&victim);
        let mut losers = Vec::new();
        for (index, local) in self.locals.iter() {
            if local.tables.as_ref().is_some_and(named)
                || plan.flips.get(&index).is_some_and(|flip| named(&flip.tables))
            {
                losers.push((index, local.tables.unwrap_or_default(), local.policies.clone()));
            }
        }
        for (index, tables, policies) in losers {
            if let std::collections::btree_map::Entry::Vacant(entry) = plan.flips.entry(index) {
                tables.iter().for_each(|table| self.space.tables.hold(*table));
                entry.insert(Flip { tables, policies });
            }
            for at in 0..2 {
                if plan.flips.get(&index).is_some_and(|flip| flip.tables[at] == victim) {
                    self.stick(index, at, Full::Keys, plan);
                    self.replace(index, at, CLOSED, plan);
                }
            }
        }
    }

    /// The keys of new classes in live tables, and of new tables.
    fn keys(&self, plan: &Plan) -> (Keys, Vec<Keys>) {
        let space = &self.space;
        let fresh = space.classes.fresh().iter();
        let fresh = fresh.flat_map(|class| space.tables.keys_of_class(*class, &space.terms, &space.classes)).collect();
        let tables = plan.made.iter().map(|table| space.tables.keys_of_table(*table, &space.terms)).collect();
        (fresh, tables)
    }
}
