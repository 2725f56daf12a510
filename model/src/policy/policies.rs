//! The policies, found by the labels that they select, and the numbers of their rules.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    count,
    demand::Demand,
    index::SelectorIndex,
    numbers::Numbers,
    rule::{Rule, RuleName},
};
use crate::objects::{Direction, NetworkPolicy, ObjectName, Pod, PolicyRule};

/// A policy, and its rules as soon as it selects an endpoint.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) object: Arc<NetworkPolicy>,
    rules: Option<Compiled>,
    /// How much it asks for, once somebody wants to know.
    asks: OnceCell<[Demand; 2]>,
}

/// Ingress and egress rules.
type Compiled = [Box<[Arc<Rule>]>; 2];

/// All policies.
#[derive(Debug, Default)]
pub(super) struct Policies {
    ids: BTreeMap<ObjectName, u32>,
    slots: Vec<Option<Policy>>,
    free: Vec<u32>,
    by_namespace: HashMap<Arc<str>, SelectorIndex>,
    pub(super) rules: Registry,
    serial: u64,
}

/// The rules of a direction.
pub(super) fn list(policy: &NetworkPolicy, direction: Direction) -> &[PolicyRule] {
    match direction {
        Direction::Ingress => &policy.ingress,
        Direction::Egress => &policy.egress,
    }
}

/// The place of a direction in pairs.
pub(super) const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

impl Policies {
    pub(super) fn get(&self, name: &ObjectName) -> Option<&Arc<NetworkPolicy>> {
        let id = *self.ids.get(name)?;
        self.slots.get(id as usize)?.as_ref().map(|policy| &policy.object)
    }

    /// Sets or removes a policy.
    #[expect(clippy::cast_possible_truncation, reason = "memory ends long before 2^32 policies")]
    pub(super) fn set(&mut self, name: &ObjectName, object: Option<Arc<NetworkPolicy>>, round: u64) {
        let before = self.ids.remove(name).and_then(|id| Some((id, self.slots.get_mut(id as usize)?.take()?)));
        if let Some((id, policy)) = &before {
            if let Some(index) = self.by_namespace.get_mut(&name.namespace) {
                index.remove(&policy.object.pod_selector, *id);
                if index.is_empty() {
                    self.by_namespace.remove(&name.namespace);
                }
            }
            self.free.push(*id);
        }
        let mut compiled = None;
        let before = before.map(|(_, policy)| policy);
        if let Some(object) = object {
            if let Some(Policy { object: old, rules: Some(rules), .. }) = &before {
                compiled = Some(self.compile(&object, Some((old, rules))));
            }
            let id = self.free.pop().unwrap_or_else(|| {
                self.slots.push(None);
                self.slots.len() as u32 - 1
            });
            self.by_namespace.entry(name.namespace.clone()).or_default().insert(&object.pod_selector, id);
            self.ids.insert(name.clone(), id);
            self.slots[id as usize] = Some(Policy { object, rules: compiled, asks: OnceCell::new() });
        }
        let rules = before.and_then(|policy| policy.rules);
        rules.iter().flatten().flatten().for_each(|rule| self.rules.let_go(rule.number, round));
    }

    /// The policies that select a pod, by name, with their rules.
    pub(super) fn selecting(&mut self, pod: &Pod) -> Vec<(Arc<NetworkPolicy>, Compiled)> {
        let Some(index) = self.by_namespace.get(&pod.name.namespace) else { return vec![] };
        let mut ids: Vec<u32> = index.candidates(&pod.labels).collect();
        ids.sort_unstable();
        ids.dedup();
        let slots = &self.slots;
        ids.retain(|id| slots[*id as usize].as_ref().is_some_and(|policy| policy.object.selects(pod)));
        let mut found: Vec<_> = ids.into_iter().filter_map(|id| self.with_rules(id)).collect();
        found.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        found
    }

    fn with_rules(&mut self, id: u32) -> Option<(Arc<NetworkPolicy>, Compiled)> {
        let policy = self.slots[id as usize].as_ref()?;
        let object = policy.object.clone();
        if let Some(rules) = &policy.rules {
            return Some((object, rules.clone()));
        }
        let rules = self.compile(&object, None);
        if let Some(policy) = &mut self.slots[id as usize] {
            policy.rules = Some(rules.clone());
        }
        Some((object, rules))
    }

    /// Compiles what is not the same as before.
    fn compile(&mut self, policy: &NetworkPolicy, before: Option<(&Arc<NetworkPolicy>, &Compiled)>) -> Compiled {
        [0, 1].map(|at| {
            let direction = DIRECTIONS[at];
            let rules = list(policy, direction).iter().enumerate();
            let rules = rules.map(|(index, rule)| {
                if let Some((old, rules)) = before
                    && list(old, direction).get(index) == Some(rule)
                    && let Some(same) = rules[at].get(index)
                {
                    self.rules.hold(same.number);
                    return same.clone();
                }
                let name = RuleName { policy: policy.name.clone(), direction, index };
                self.serial += 1;
                Arc::new(Rule::compile(self.serial, self.rules.number(&name), &name, rule))
            });
            rules.collect()
        })
    }

    /// The policy that asks for most, of those that isolate an endpoint in a direction.
    pub(super) fn largest<'a>(&self, names: &'a [ObjectName], at: usize) -> Option<&'a ObjectName> {
        let ask = |name: &ObjectName| {
            let policy = self.slots.get(*self.ids.get(name)? as usize)?.as_ref()?;
            let of = |at: usize| count::of_policy(name, DIRECTIONS[at], list(&policy.object, DIRECTIONS[at]));
            Some(policy.asks.get_or_init(|| [0, 1].map(of))[at].weight())
        };
        names.iter().max_by_key(|name| ask(name))
    }

    /// Every policy, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.ids.values().filter_map(|id| self.slots.get(*id as usize)?.as_ref())
    }
}

impl Policy {
    /// Whether it selects an endpoint, or did.
    pub(super) fn is_compiled(&self) -> bool {
        self.rules.is_some()
    }
}

/// The numbers that the maps know rules by.
#[derive(Debug)]
pub(super) struct Registry {
    by_name: HashMap<Arc<RuleName>, u32>,
    by_number: Vec<Option<(Arc<RuleName>, usize)>>,
    numbers: Numbers,
}

impl Default for Registry {
    fn default() -> Self {
        let numbers = Numbers::new(1, u32::MAX, Default::default());
        Self { by_name: HashMap::new(), by_number: Vec::new(), numbers }
    }
}

impl Registry {
    /// The number of a rule, held once more. 0 if there is none left.
    fn number(&mut self, name: &RuleName) -> u32 {
        if let Some(&number) = self.by_name.get(name) {
            self.hold(number);
            return number;
        }
        let Some(number) = self.numbers.take() else { return 0 };
        let name = Arc::new(name.clone());
        if self.by_number.len() <= number as usize {
            self.by_number.resize_with(number as usize + 1, || None);
        }
        self.by_number[number as usize] = Some((name.clone(), 1));
        self.by_name.insert(name, number);
        number
    }

    pub(super) fn hold(&mut self, number: u32) {
        if let Some(Some((_, holders))) = self.by_number.get_mut(number as usize) {
            *holders += 1;
        }
    }

    pub(super) fn let_go(&mut self, number: u32, round: u64) {
        let Some(slot) = self.by_number.get_mut(number as usize) else { return };
        let Some((name, holders)) = slot else { return };
        *holders -= 1;
        if *holders == 0 {
            self.by_name.remove(name);
            *slot = None;
            self.numbers.rest(number, round);
        }
    }

    pub(super) fn name(&self, number: u32) -> Option<&RuleName> {
        self.by_number.get(number as usize)?.as_ref().map(|(name, _)| &**name)
    }

    pub(super) fn wake(&mut self, round: u64) {
        self.numbers.wake(round);
    }
}
