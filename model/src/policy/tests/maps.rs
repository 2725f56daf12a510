//! The maps as the steps leave them, and the verdict that the datapath reads there.

use std::{collections::BTreeMap, net::IpAddr};

use ipnetwork::IpNetwork;

use super::cluster::Ask;
use crate::{objects::Direction, policy::*};

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Maps {
    pub(super) tables: BTreeMap<u32, u32>,
    pub(super) rules: BTreeMap<RuleKey, u32>,
    pub(super) classes: BTreeMap<IpAddr, (u32, bool)>,
    pub(super) blocks: BTreeMap<IpNetwork, u32>,
    /// With an epoch.
    pub(super) words: BTreeMap<u32, (Word, u64)>,
    pub(super) epoch: u64,
}

impl Maps {
    /// Executes a step; what a step adds must not be there, and what it removes must be.
    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::SetTable { table, uses } => assert_eq!(self.tables.insert(*table, *uses), None, "{step}"),
            Step::InsertRules(rules) => {
                for (key, rule) in rules {
                    assert!(self.tables.contains_key(&key.table), "{key} of no table");
                    assert_eq!(self.rules.insert(*key, *rule), None, "{key} is there");
                }
            }
            Step::SetClass(address, class, pod) => _ = self.classes.insert(*address, (*class, *pod)),
            Step::SetBlock(prefix, class) => _ = self.blocks.insert(*prefix, *class),
            Step::SetWords(words) => {
                for word in words {
                    self.epoch += 1;
                    self.words.insert(word.index, (*word, self.epoch));
                }
            }
            Step::RemoveClass(address) => assert!(self.classes.remove(address).is_some(), "{step}"),
            Step::RemoveBlock(prefix) => assert!(self.blocks.remove(prefix).is_some(), "{step}"),
            Step::RemoveRules(keys) => {
                keys.iter().for_each(|key| assert!(self.rules.remove(key).is_some(), "{key} is not there"));
            }
            Step::ClearTable(table) => {
                assert!(self.tables.remove(table).is_some(), "{step}");
                let named = self.words.values().any(|(word, _)| word.ingress == *table || word.egress == *table);
                assert!(!named, "table {table} is in force");
            }
            Step::ClearWord(index) => _ = self.words.remove(index),
        }
    }

    /// The verdict of a new flow.
    pub(super) fn allows(&self, index: u32, direction: Direction, peer: IpAddr, ask: Ask) -> bool {
        let Some((word, _)) = self.words.get(&index) else { return false };
        let table = if direction == Direction::Ingress { word.ingress } else { word.egress };
        if table == 0 {
            return true;
        }
        if table == CLOSED {
            return false;
        }
        let uses = self.tables[&table];
        let (class, pod) = self.classes.get(&peer).copied().unwrap_or_else(|| {
            let holding = self.blocks.iter().filter(|(prefix, _)| prefix.contains(peer));
            (holding.max_by_key(|(prefix, _)| prefix.prefix()).map_or(0, |(_, class)| *class), false)
        });
        let asked =
            [(class, uses & 1 << 21 != 0), (ANY_POD, pod && uses & 1 << 22 != 0), (ANYONE, uses & 1 << 23 != 0)];
        asked.into_iter().filter(|(_, asked)| *asked).any(|(class, _)| {
            let has = |port| self.rules.contains_key(&RuleKey { table, class, port });
            let (protocol, number) = ask;
            let ported = |bits: u8| {
                let mask = if bits == 0 { 0 } else { u16::MAX << (16 - bits) };
                has(PortPrefix { protocol, port: number & mask, bits })
            };
            let is_ported = [6, 17, 132].contains(&protocol);
            let everything = uses & 1 << 20 != 0 && has(PortPrefix::EVERYTHING);
            everything || is_ported && (0..=16).any(|bits| uses & 1 << bits != 0 && ported(bits))
        })
    }
}
