//! The maps of `ferrule_common::policy`: the compiler's steps, carried out; and what a former agent left in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, OwnedFd},
};

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, lpm_trie::Key};
use ferrule_common::{
    policy::{Block, Class, ClassKey, EPOCH_INDEX, GENERATIONS, Rule, RuleKey, Table, Word},
    prefix::PrefixKey,
};
use ferrule_model::policy::{self, Step};
use ipnetwork::IpNetwork;

use super::{
    batch,
    load::{LoadError, RawPolicyMaps},
    remote_maps::absent_is_fine,
};

/// The maps' only writer.
pub struct PolicyMaps {
    words: Array<MapData, Word>,
    tables: Array<MapData, Table>,
    rules: HashMap<MapData, RuleKey, Rule>,
    classes: HashMap<MapData, ClassKey, Class>,
    blocks: LpmTrie<MapData, PrefixKey, Block>,
    /// The rules' map, for batches.
    all_rules: OwnedFd,
    all_classes: OwnedFd,
    /// The last epoch that a word got.
    epoch: u64,
}

/// What is in the maps when an agent starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Tables that are written, with the generation of their classes.
    pub tables: BTreeMap<u32, u32>,
    /// Endpoints that have a word.
    pub endpoints: BTreeSet<u32>,
}

impl Left {
    /// A generation that nothing in the maps is written in.
    #[must_use]
    pub fn next_generation(&self) -> u32 {
        let used: BTreeSet<u32> = self.tables.values().copied().collect();
        let last = used.last().copied().unwrap_or(0);
        (1..=GENERATIONS).map(|n| (last + n - 1) % GENERATIONS + 1).find(|n| !used.contains(n)).unwrap_or(1)
    }
}

impl PolicyMaps {
    /// Opens them.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(raw: RawPolicyMaps) -> Result<Self, LoadError> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| LoadError::Map { name, source }
        };
        let fd = |map: &Map, name: &str| match map {
            Map::HashMap(data) => {
                data.fd().as_fd().try_clone_to_owned().map_err(|error| failed(name)(MapError::IoError(error)))
            }
            _ => Err(failed(name)(MapError::IoError(io::ErrorKind::InvalidInput.into()))),
        };
        let (all_rules, all_classes) = (fd(&raw.rules, "fr_policy")?, fd(&raw.classes, "fr_classes")?);
        let words: Array<MapData, Word> = raw.words.try_into().map_err(failed("fr_ep_state"))?;
        let epoch = words.get(&EPOCH_INDEX, 0).map_err(failed("fr_ep_state"))?.0;
        Ok(Self {
            words,
            tables: raw.tables.try_into().map_err(failed("fr_tables"))?,
            rules: raw.rules.try_into().map_err(failed("fr_policy"))?,
            classes: raw.classes.try_into().map_err(failed("fr_classes"))?,
            blocks: raw.blocks.try_into().map_err(failed("fr_blocks"))?,
            all_rules,
            all_classes,
            epoch,
        })
    }

    /// What is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn left(&self) -> Result<Left, MapError> {
        let mut left = Left::default();
        for index in 1..self.tables.len() {
            let table = self.tables.get(&index, 0)?;
            if table != Table::default() {
                left.tables.insert(index, table.generation);
            }
        }
        for index in EPOCH_INDEX + 1..self.words.len() {
            if self.words.get(&index, 0)? != Word::UNKNOWN {
                left.endpoints.insert(index);
            }
        }
        Ok(left)
    }

    /// Tables that some endpoint's word names.
    ///
    /// # Errors
    /// The kernel's.
    pub fn named_tables(&self) -> Result<BTreeSet<u32>, MapError> {
        let mut named = BTreeSet::new();
        for index in EPOCH_INDEX + 1..self.words.len() {
            let word = self.words.get(&index, 0)?;
            named.extend([word.ingress(), word.egress()]);
        }
        Ok(named)
    }

    /// An endpoint's word.
    ///
    /// # Errors
    /// The kernel's.
    pub fn word(&self, index: u32) -> Result<Word, MapError> {
        self.words.get(&index, 0)
    }

    /// Carries out one step; classes are of `generation`.
    ///
    /// # Errors
    /// The kernel's; the step may be tried again.
    pub fn apply(&mut self, step: &Step, generation: u32) -> Result<(), MapError> {
        match step {
            Step::SetTable { table, uses } => self.tables.set(*table, Table { uses: *uses, generation }, 0),
            Step::InsertRules(rules) => {
                let entries = rules.iter().map(|(key, rule)| (rule_key(*key), Rule { rule: *rule, pad: 0 }));
                self.insert(&entries.collect::<Vec<_>>())
            }
            Step::SetClass(address, class, pod) => {
                let value = Class { class: *class, pod: (*pod).into() };
                self.classes.insert(ClassKey::of((*address).into(), generation), value, 0)
            }
            Step::SetBlock(prefix, class) => {
                self.blocks.insert(&block(*prefix, generation), Block { class: *class }, 0)
            }
            Step::SetWords(words) => words.iter().try_for_each(|word| {
                let epoch = self.next_epoch()?;
                self.words.set(word.index, Word::new(word.ingress, word.egress, epoch), 0)
            }),
            Step::RemoveClass(address) => {
                absent_is_fine(self.classes.remove(&ClassKey::of((*address).into(), generation)))
            }
            Step::RemoveBlock(prefix) => absent_is_fine(self.blocks.remove(&block(*prefix, generation))),
            Step::RemoveRules(keys) => self.remove(&keys.iter().map(|key| rule_key(*key)).collect::<Vec<_>>()),
            Step::ClearTable(table) => self.tables.set(*table, Table::default(), 0),
            Step::ClearWord(index) => self.words.set(*index, Word::UNKNOWN, 0),
        }
    }

    /// Removes all of other generations than `kept`: tables first, so that what they name is asked for no more.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_others(&mut self, kept: &BTreeSet<u32>) -> Result<(), MapError> {
        let gone: BTreeSet<u32> =
            self.left()?.tables.into_iter().filter(|(_, g)| !kept.contains(g)).map(|(t, _)| t).collect();
        for table in &gone {
            self.tables.set(*table, Table::default(), 0)?;
        }
        let live = self.left()?.tables;
        let rules: Vec<RuleKey> = match batch::entries::<RuleKey, Rule>(self.all_rules.as_fd())? {
            Some(entries) => entries.into_iter().map(|(key, _)| key).collect(),
            None => self.rules.keys().collect::<Result<_, _>>()?,
        };
        self.remove(&rules.into_iter().filter(|key| !live.contains_key(&key.table)).collect::<Vec<_>>())?;
        let classes: Vec<ClassKey> = match batch::entries::<ClassKey, Class>(self.all_classes.as_fd())? {
            Some(entries) => entries.into_iter().map(|(key, _)| key).collect(),
            None => self.classes.keys().collect::<Result<_, _>>()?,
        };
        for key in classes.iter().filter(|key| !kept.contains(&key.generation)) {
            absent_is_fine(self.classes.remove(key))?;
        }
        let blocks: Vec<Key<PrefixKey>> = self.blocks.keys().collect::<Result<_, _>>()?;
        for key in blocks.iter().filter(|key| !kept.contains(&u32::from(key.data().family[1]))) {
            absent_is_fine(self.blocks.remove(key))?;
        }
        Ok(())
    }

    /// Epochs are counted in the map itself, so that they outlive agents as long as flows do.
    fn next_epoch(&mut self) -> Result<u64, MapError> {
        let next = self.epoch + 1;
        self.words.set(EPOCH_INDEX, Word(next), 0)?;
        self.epoch = next;
        Ok(next)
    }

    fn insert(&mut self, entries: &[(RuleKey, Rule)]) -> Result<(), MapError> {
        if batch::insert(self.all_rules.as_fd(), entries)? {
            return Ok(());
        }
        entries.iter().try_for_each(|(key, rule)| self.rules.insert(key, rule, 0))
    }

    fn remove(&mut self, keys: &[RuleKey]) -> Result<(), MapError> {
        keys.iter().try_for_each(|key| absent_is_fine(self.rules.remove(key)))
    }
}

const fn rule_key(key: policy::RuleKey) -> RuleKey {
    let policy::PortPrefix { protocol, port, bits } = key.port;
    RuleKey { table: key.table, class: key.class, port, port_bits: bits, protocol }
}

fn block(prefix: IpNetwork, generation: u32) -> Key<PrefixKey> {
    let v4 = prefix.is_ipv4();
    Key::new(PrefixKey::bits(prefix.prefix(), v4), PrefixKey::of_generation(prefix.network().into(), v4, generation))
}
