//! What the agent writes to the maps, in order.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::port::PortPrefix;

/// The key of one entry of the rules' map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleKey {
    /// The table.
    pub table: u32,
    /// The peer's class, [`super::ANY_POD`] or [`super::ANYONE`].
    pub class: u32,
    /// Which ports.
    pub port: PortPrefix,
}

/// What is to be stored in an endpoint's word, beside a new epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The endpoint's index.
    pub index: u32,
    /// The table of what comes to it; 0: not isolated.
    pub ingress: u32,
    /// The table of what it sends; 0: not isolated.
    pub egress: u32,
}

/// One write, or several of one kind whose order does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A table and what has to be asked for in it.
    SetTable {
        /// Its number.
        table: u32,
        /// Bits as in `ferrule_common::policy::Table`.
        uses: u32,
    },
    /// Keys, each with the number of the rule that allows it.
    InsertRules(Vec<(RuleKey, u32)>),
    /// The class of a known address, and whether it is a pod's.
    SetClass(IpAddr, u32, bool),
    /// The class of the addresses whose longest prefix this is.
    SetBlock(IpNetwork, u32),
    /// One store each, with a new epoch; also where only the epoch has to be new.
    SetWords(Vec<Word>),
    /// The address is known no more.
    RemoveClass(IpAddr),
    /// The prefix is gone.
    RemoveBlock(IpNetwork),
    /// Keys that nothing asks for any more.
    RemoveRules(Vec<RuleKey>),
    /// The table is gone.
    ClearTable(u32),
    /// Nothing passes at this index any more.
    ClearWord(u32),
}

impl std::fmt::Display for RuleKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let PortPrefix { protocol, port, bits } = self.port;
        write!(f, "table {} class {} protocol {protocol} port {port}/{bits}", self.table, self.class)
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SetTable { table, uses } => write!(f, "table {table}: uses {uses:#x}"),
            Self::InsertRules(rules) => join(f, "insert", rules.iter().map(|(key, rule)| format!("{key} rule {rule}"))),
            Self::SetClass(address, class, true) => write!(f, "pod {address}: class {class}"),
            Self::SetClass(address, class, false) => write!(f, "address {address}: class {class}"),
            Self::SetBlock(prefix, class) => write!(f, "block {prefix}: class {class}"),
            Self::SetWords(words) => {
                let word = |word: &Word| format!("endpoint {}: tables {} {}", word.index, word.ingress, word.egress);
                join(f, "store", words.iter().map(word))
            }
            Self::RemoveClass(address) => write!(f, "address {address}: remove"),
            Self::RemoveBlock(prefix) => write!(f, "block {prefix}: remove"),
            Self::RemoveRules(keys) => join(f, "remove", keys.iter().map(ToString::to_string)),
            Self::ClearTable(table) => write!(f, "table {table}: clear"),
            Self::ClearWord(index) => write!(f, "endpoint {index}: clear"),
        }
    }
}

fn join(f: &mut std::fmt::Formatter<'_>, verb: &str, parts: impl Iterator<Item = String>) -> std::fmt::Result {
    write!(f, "{verb} {}", parts.collect::<Vec<_>>().join(", "))
}
