//! The maps of `ferrule_common::policy`: the compiler's steps, carried out; and what a former agent left in them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
};

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, lpm_trie::Key};
use ferrule_common::{
    Address,
    policy::{
        ANY_POD, ANYONE, BY_ANYONE, BY_CLASS, BY_POD, Block, Class, ClassKey, EPOCH_INDEX, FIRST_CLASS, GENERATIONS,
        Rule, RuleKey, Table, Word,
    },
    prefix::{FULL_BITS, PrefixKey},
};
use ferrule_model::policy::{self, CLOSED, Step};
use ipnetwork::IpNetwork;

use super::{absent::absent_is_fine, batch, error::LoadError};

/// The maps of `ferrule_common::policy`.
pub struct RawPolicyMaps {
    /// `fr_ep_state`.
    pub words: Map,
    /// `fr_tables`.
    pub tables: Map,
    /// `fr_policy`.
    pub rules: Map,
    /// `fr_classes`.
    pub classes: Map,
    /// `fr_blocks`.
    pub blocks: Map,
}

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
    /// Tables that are written, with the generation of their classes, and those that there are keys of (0).
    pub tables: BTreeMap<u32, u32>,
    /// Endpoints that have a word.
    pub endpoints: BTreeSet<u32>,
    /// Generations that something is written in: classes without a table, too.
    pub generations: BTreeSet<u32>,
}

/// How many entries there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Of `fr_tables`, those that are written.
    pub tables: usize,
    /// Of `fr_policy`.
    pub keys: usize,
    /// Of `fr_classes`.
    pub classes: usize,
    /// Of `fr_blocks`.
    pub blocks: usize,
}

impl Left {
    /// A generation that nothing in the maps is written in.
    #[must_use]
    pub fn next_generation(&self) -> u32 {
        let used = &self.generations;
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
        for table in self.every_table()?.0 {
            left.tables.entry(table).or_default();
        }
        for index in EPOCH_INDEX + 1..self.words.len() {
            if self.words.get(&index, 0)? != Word::UNKNOWN {
                left.endpoints.insert(index);
            }
        }
        left.generations.extend(left.tables.values());
        left.generations.extend(self.every_class()?.iter().map(|key| key.generation));
        for key in self.blocks.keys() {
            left.generations.insert(u32::from(key?.data().family[1]));
        }
        Ok(left)
    }

    /// How much is there: in all, and of one generation (tables and keys have none: all of them).
    ///
    /// # Errors
    /// The kernel's.
    pub fn count(&self, generation: u32) -> Result<(Count, Count), MapError> {
        let mut all = Count { keys: self.every_table()?.1, ..Count::default() };
        for index in 1..self.tables.len() {
            all.tables += usize::from(self.tables.get(&index, 0)? != Table::default());
        }
        let mut own = all;
        let classes = self.every_class()?;
        all.classes = classes.len();
        own.classes = classes.iter().filter(|key| key.generation == generation).count();
        for key in self.blocks.keys() {
            let is_own = u32::from(key?.data().family[1]) == generation;
            (all.blocks, own.blocks) = (all.blocks + 1, own.blocks + usize::from(is_own));
        }
        Ok((all, own))
    }

    /// The tables that keys belong to, written or not, and how many keys there are.
    fn every_table(&self) -> Result<(BTreeSet<u32>, usize), MapError> {
        let (mut tables, mut last) = (BTreeSet::new(), None);
        // Most keys follow one of the same table.
        let note = |key: &RuleKey| {
            if last.replace(key.table) != Some(key.table) {
                tables.insert(key.table);
            }
            true
        };
        let noted = RefCell::new(note);
        let keys = match batch::count::<RuleKey, Rule>(self.all_rules.as_fd(), |key| (noted.borrow_mut())(key))? {
            Some(keys) => keys,
            None => self
                .rules
                .keys()
                .map(|key| key.map(|key| (noted.borrow_mut())(&key)))
                .collect::<Result<Vec<_>, _>>()?
                .len(),
        };
        Ok((tables, keys))
    }

    fn every_class(&self) -> Result<Vec<ClassKey>, MapError> {
        match batch::entries::<ClassKey, Class>(self.all_classes.as_fd())? {
            Some(entries) => Ok(entries.into_iter().map(|(key, _)| key).collect()),
            None => self.classes.keys().collect(),
        }
    }

    /// Tables that some endpoint's word names; not [`CLOSED`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn named_tables(&self) -> Result<BTreeSet<u32>, MapError> {
        let mut named = BTreeSet::new();
        for index in EPOCH_INDEX + 1..self.words.len() {
            let word = self.words.get(&index, 0)?;
            named.extend([word.ingress(), word.egress()]);
        }
        named.retain(|table| ![0, CLOSED].contains(table));
        Ok(named)
    }

    /// An endpoint's word.
    ///
    /// # Errors
    /// The kernel's.
    pub fn word(&self, index: u32) -> Result<Word, MapError> {
        self.words.get(&index, 0)
    }

    /// What an endpoint's table says of a peer, by the lookups that the programs make: none if it is denied, else the
    /// rule, where there is a table.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ask(
        &self,
        endpoint: u32,
        ingress: bool,
        peer: IpAddr,
        port: Option<(u8, u16)>,
    ) -> Result<Option<Option<u32>>, MapError> {
        let word = self.words.get(&endpoint, 0)?;
        if word == Word::UNKNOWN {
            return Ok(None);
        }
        let number = if ingress { word.ingress() } else { word.egress() };
        if number == 0 {
            return Ok(Some(None));
        }
        let table = self.tables.get(&number, 0)?;
        let address = Address::from(peer);
        let (class, pod) = match found(self.classes.get(&ClassKey::of(address, table.generation), 0))? {
            Some(class) => (class.class, class.pod != 0),
            None => {
                let v4 = peer.is_ipv4();
                let key = Key::new(FULL_BITS, PrefixKey::of_generation(address, v4, table.generation));
                (found(self.blocks.get(&key, 0))?.map_or(ANYONE, |block| block.class), false)
            }
        };
        let classes = [(BY_CLASS, class, class >= FIRST_CLASS), (BY_POD, ANY_POD, pod), (BY_ANYONE, ANYONE, true)];
        for (_, class, _) in classes.into_iter().filter(|(by, _, applies)| table.uses & by != 0 && *applies) {
            let any = RuleKey { table: number, class, port: 0, port_bits: 0, protocol: 0 };
            let with_port = port.into_iter().flat_map(|(protocol, port)| {
                (0..=16_u8).rev().map(move |bits| {
                    let mask = u16::try_from(0xffff_0000_u32 >> bits & 0xffff).unwrap_or(u16::MAX);
                    RuleKey { table: number, class, port: port & mask, port_bits: bits, protocol }
                })
            });
            for key in std::iter::once(any).chain(with_port) {
                if let Some(rule) = found(self.rules.get(&key, 0))? {
                    return Ok(Some(Some(rule.rule)));
                }
            }
        }
        Ok(None)
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

    /// Removes all but these tables and their keys, then the classes and blocks of generations that no table is written in,
    /// but for `own`. A key whose table was never written, or was cleared by an agent that died before the keys, goes too.
    /// Whether there was anything.
    ///
    /// # Errors
    /// The kernel's; it may be done again.
    pub fn keep_only(&mut self, kept: &BTreeSet<u32>, own: Option<u32>) -> Result<bool, MapError> {
        let mut removed = false;
        let mut generations: BTreeSet<u32> = own.into_iter().collect();
        for index in 1..self.tables.len() {
            let table = self.tables.get(&index, 0)?;
            if kept.contains(&index) && index != CLOSED {
                generations.insert(table.generation);
            } else if table != Table::default() {
                self.tables.set(index, Table::default(), 0)?;
                removed = true;
            }
        }
        if self.every_table()?.0.iter().any(|table| !kept.contains(table)) {
            let rules: Vec<RuleKey> = match batch::entries::<RuleKey, Rule>(self.all_rules.as_fd())? {
                Some(entries) => entries.into_iter().map(|(key, _)| key).collect(),
                None => self.rules.keys().collect::<Result<_, _>>()?,
            };
            self.remove(&rules.into_iter().filter(|key| !kept.contains(&key.table)).collect::<Vec<_>>())?;
            removed = true;
        }
        let gone = |generation: u32| !generations.contains(&generation);
        let classes: Vec<ClassKey> = self.every_class()?.into_iter().filter(|key| gone(key.generation)).collect();
        removed |= !classes.is_empty();
        if !batch::remove(self.all_classes.as_fd(), &classes)? {
            classes.iter().try_for_each(|key| absent_is_fine(self.classes.remove(key)))?;
        }
        let blocks: Vec<Key<PrefixKey>> = self.blocks.keys().collect::<Result<_, _>>()?;
        for key in blocks.iter().filter(|key| gone(key.data().family[1].into())) {
            absent_is_fine(self.blocks.remove(key))?;
            removed = true;
        }
        Ok(removed)
    }

    /// Closes every direction of these endpoints whose word names one of these tables; whether there was any.
    ///
    /// # Errors
    /// The kernel's; it may be done again.
    pub fn close(&mut self, tables: &BTreeSet<u32>, wanted: impl Fn(u32) -> bool) -> Result<bool, MapError> {
        let mut closed = false;
        for index in (EPOCH_INDEX + 1..self.words.len()).filter(|index| wanted(*index)) {
            let word = self.words.get(&index, 0)?;
            let [ingress, egress] =
                [word.ingress(), word.egress()].map(|at| if tables.contains(&at) { CLOSED } else { at });
            if word != Word::UNKNOWN && [ingress, egress] != [word.ingress(), word.egress()] {
                let epoch = self.next_epoch()?;
                self.words.set(index, Word::new(ingress, egress, epoch), 0)?;
                closed = true;
            }
        }
        Ok(closed)
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
        if batch::remove(self.all_rules.as_fd(), keys)? {
            return Ok(());
        }
        keys.iter().try_for_each(|key| absent_is_fine(self.rules.remove(key)))
    }
}

/// Nothing under a key is an answer, too.
fn found<V>(result: Result<V, MapError>) -> Result<Option<V>, MapError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(error),
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
