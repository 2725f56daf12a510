//! What the agent does to the maps, done by hand: the compiler's steps, endpoints, peers.

use std::net::IpAddr;

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{Array, HashMap, LpmTrie, MapData, MapError, lpm_trie::Key},
};
use ferrule_common::{
    Address, Mac,
    endpoint::Endpoint,
    peer::{self, Node, Peer},
    policy::{Block, Class, ClassKey, EPOCH_INDEX, Rule, RuleKey, Table, Word},
    prefix::PrefixKey,
    source::Source,
};
use ferrule_model::policy::{self, Step};
use ipnetwork::IpNetwork;

/// The device that programs run on: every namespace has it.
pub const DEVICE: u32 = 1;
/// The device that leads to the other nodes.
pub const OVERLAY: u32 = 88;
/// What every frame fits in.
const MTU: u32 = 1450;

/// The maps of one loaded object.
pub struct Maps {
    words: Array<MapData, Word>,
    tables: Array<MapData, Table>,
    rules: HashMap<MapData, RuleKey, Rule>,
    classes: HashMap<MapData, ClassKey, Class>,
    blocks: LpmTrie<MapData, PrefixKey, Block>,
    endpoints: HashMap<MapData, Address, Endpoint>,
    sources: Array<MapData, Source>,
    peers: HashMap<MapData, Address, Peer>,
    nodes: Array<MapData, Node>,
    epoch: u64,
}

macro_rules! take {
    ($ebpf:expr, $name:literal) => {
        $ebpf.take_map($name).context(concat!("the object has no ", $name))?.try_into()?
    };
}

impl Maps {
    /// Takes them.
    pub fn of(ebpf: &mut Ebpf) -> Result<Self> {
        Ok(Self {
            words: take!(ebpf, "fr_ep_state"),
            tables: take!(ebpf, "fr_tables"),
            rules: take!(ebpf, "fr_policy"),
            classes: take!(ebpf, "fr_classes"),
            blocks: take!(ebpf, "fr_blocks"),
            endpoints: take!(ebpf, "fr_endpoints"),
            sources: take!(ebpf, "fr_sources"),
            peers: take!(ebpf, "fr_peers"),
            nodes: take!(ebpf, "fr_nodes"),
            epoch: 0,
        })
    }

    /// A node that is reached by the overlay.
    pub fn set_node(&mut self, index: u32, v4: IpAddr, v6: IpAddr) -> Result<()> {
        let none = Address::UNSPECIFIED;
        let node = Node {
            forwarding: peer::VXLAN,
            ifindex: OVERLAY,
            mtu: MTU,
            uplink: 0,
            tunnel: v4.into(),
            next_hop_v4: none,
            next_hop_v6: none,
            internal_v4: v4.into(),
            internal_v6: v6.into(),
        };
        Ok(self.nodes.set(index, node, 0)?)
    }

    /// An address of a pod of another node, or of a node.
    pub fn set_peer(&mut self, address: IpAddr, node: u32, is_pod: bool) -> Result<()> {
        let kind = if is_pod { peer::POD } else { peer::NODE };
        Ok(self.peers.insert(Address::from(address), Peer { node, kind }, 0)?)
    }

    /// Nobody's any more, if it was somebody's.
    pub fn forget_peer(&mut self, address: IpAddr) -> Result<()> {
        let key = Address::from(address);
        match self.peers.get(&key, 0) {
            Err(MapError::KeyNotFound) => Ok(()),
            other => Ok(other.and_then(|_| self.peers.remove(&key))?),
        }
    }

    /// A pod of this node.
    pub fn set_endpoint(&mut self, index: u32, mac: [u8; 6], addresses: &[IpAddr]) -> Result<()> {
        let mac = Mac::new(mac);
        let first = |v4| addresses.iter().find(|ip: &&IpAddr| ip.is_ipv4() == v4).map(|ip| Address::from(*ip));
        let [v4, v6] = [first(true), first(false)].map(|one| one.unwrap_or(Address::UNSPECIFIED));
        self.sources.set(index, Source { ifindex: DEVICE, mac, flags: 0, v4, v6, tenant: 0 }, 0)?;
        for address in addresses {
            let endpoint = Endpoint { ifindex: DEVICE, index, mtu: MTU, mac, flags: 0 };
            self.endpoints.insert(Address::from(*address), endpoint, 0)?;
        }
        Ok(())
    }

    /// It is gone; an address that another has by now stays.
    pub fn remove_endpoint(&mut self, index: u32, addresses: &[IpAddr]) -> Result<()> {
        self.sources.set(index, Source::FREE, 0)?;
        for address in addresses {
            let key = Address::from(*address);
            if self.endpoints.get(&key, 0).is_ok_and(|endpoint| endpoint.index == index) {
                self.endpoints.remove(&key)?;
            }
        }
        Ok(())
    }

    /// One step of the compiler's.
    pub fn apply(&mut self, step: &Step, generation: u32) -> Result<()> {
        match step {
            Step::SetTable { table, uses } => self.tables.set(*table, Table { uses: *uses, generation }, 0)?,
            Step::InsertRules(rules) => {
                for (key, rule) in rules {
                    self.rules.insert(rule_key(*key), Rule { rule: *rule, pad: 0 }, 0)?;
                }
            }
            Step::SetClass(address, class, pod) => {
                let key = ClassKey::of((*address).into(), generation);
                self.classes.insert(key, Class { class: *class, pod: (*pod).into() }, 0)?;
            }
            Step::SetBlock(prefix, class) => {
                self.blocks.insert(&block(*prefix, generation), Block { class: *class }, 0)?;
            }
            Step::SetWords(words) => {
                for word in words {
                    self.epoch += 1;
                    self.words.set(word.index, Word::new(word.ingress, word.egress, self.epoch), 0)?;
                }
            }
            Step::RemoveClass(address) => self.classes.remove(&ClassKey::of((*address).into(), generation))?,
            Step::RemoveBlock(prefix) => self.blocks.remove(&block(*prefix, generation))?,
            Step::RemoveRules(keys) => {
                for key in keys {
                    self.rules.remove(&rule_key(*key))?;
                }
            }
            Step::ClearTable(table) => self.tables.set(*table, Table::default(), 0)?,
            Step::ClearWord(index) => self.words.set(*index, Word::UNKNOWN, 0)?,
        }
        Ok(())
    }

    /// Nothing is left of a case.
    pub fn clear(&mut self) -> Result<()> {
        let keys: Vec<_> = self.rules.keys().collect::<Result<_, _>>()?;
        keys.iter().try_for_each(|key| self.rules.remove(key))?;
        let keys: Vec<_> = self.classes.keys().collect::<Result<_, _>>()?;
        keys.iter().try_for_each(|key| self.classes.remove(key))?;
        let keys: Vec<_> = self.blocks.keys().collect::<Result<_, _>>()?;
        keys.iter().try_for_each(|key| self.blocks.remove(key))?;
        let keys: Vec<_> = self.endpoints.keys().collect::<Result<_, _>>()?;
        keys.iter().try_for_each(|key| self.endpoints.remove(key))?;
        let keys: Vec<_> = self.peers.keys().collect::<Result<_, _>>()?;
        keys.iter().try_for_each(|key| self.peers.remove(key))?;
        for index in EPOCH_INDEX + 1..300 {
            self.words.set(index, Word::UNKNOWN, 0)?;
            self.sources.set(index, Source::FREE, 0)?;
        }
        Ok(())
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
