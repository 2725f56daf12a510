//! Writes policy by hand: what tables, classes and words say in tests.

use std::net::IpAddr;

use aya::maps::{Array, HashMap, LpmTrie, lpm_trie::Key};
use ferrule_common::{
    Address,
    flow::{Flow, FlowKey, Quota, Removals, Share, Tenant},
    policy::{ANY_PROTOCOL, ANYONE, BY_ANYONE, BY_CLASS, BY_POD, Block, Class, ClassKey, Rule, RuleKey, Table, Word},
    prefix::PrefixKey,
};

use crate::run::Bench;

/// The generation of classes in tests.
const GENERATION: u32 = 1;
/// Every length of port prefixes, and every kind of key.
const EVERYTHING: u32 = 0x1_ffff | ANY_PROTOCOL | BY_CLASS | BY_POD | BY_ANYONE;

/// A protocol and a port prefix; 0, 0, 0 is everything.
#[derive(Clone, Copy)]
pub struct Ports(pub u8, pub u16, pub u8);

/// Every protocol.
pub const ANY: Ports = Ports(0, 0, 0);

impl Bench {
    fn array<V: aya::Pod>(&mut self, name: &str) -> Array<&mut aya::maps::MapData, V> {
        self.ebpf().map_mut(name).expect("the map is there").try_into().expect("an array")
    }

    fn hash<K: aya::Pod, V: aya::Pod>(&mut self, name: &str) -> HashMap<&mut aya::maps::MapData, K, V> {
        self.ebpf().map_mut(name).expect("the map is there").try_into().expect("a hash")
    }

    /// Stores an endpoint's word.
    pub fn word(&mut self, endpoint: u32, ingress: u32, egress: u32, epoch: u64) {
        self.array("fr_ep_state").set(endpoint, Word::new(ingress, egress, epoch), 0).expect("it is within bounds");
    }

    /// Makes a table that asks for everything.
    pub fn table(&mut self, table: u32) {
        let uses = Table { uses: EVERYTHING, generation: GENERATION };
        self.array("fr_tables").set(table, uses, 0).expect("it is within bounds");
    }

    /// Allows something.
    pub fn allow(&mut self, table: u32, class: u32, ports: Ports) {
        self.table(table);
        let key = rule_key(table, class, ports);
        self.hash("fr_policy").insert(key, Rule { rule: 7, pad: 0 }, 0).expect("there is room");
    }

    /// Allows everybody something.
    pub fn allow_anyone(&mut self, table: u32, ports: Ports) {
        self.allow(table, ANYONE, ports);
    }

    /// Takes back what was allowed.
    pub fn deny(&mut self, table: u32, class: u32, ports: Ports) {
        self.hash::<RuleKey, Rule>("fr_policy").remove(&rule_key(table, class, ports)).expect("it is there");
    }

    /// Gives a pod a class.
    pub fn class(&mut self, address: impl Into<IpAddr>, class: u32) {
        let key = ClassKey::of(Address::from(address.into()), GENERATION);
        self.hash("fr_classes").insert(key, Class { class, pod: 1 }, 0).expect("there is room");
    }

    /// Gives a prefix a class.
    pub fn block(&mut self, address: impl Into<IpAddr>, bits: u8, class: u32) {
        let address = address.into();
        let v4 = address.is_ipv4();
        let key = Key::new(PrefixKey::bits(bits, v4), PrefixKey::of_generation(address.into(), v4, GENERATION));
        let mut map: LpmTrie<_, PrefixKey, Block> =
            self.ebpf().map_mut("fr_blocks").expect("the map is there").try_into().expect("a trie");
        map.insert(&key, Block { class }, 0).expect("there is room");
    }

    /// Every flow.
    pub fn flows(&mut self) -> Vec<(FlowKey, Flow)> {
        self.hash("fr_conntrack").iter().map(|entry| entry.expect("the map is readable")).collect()
    }

    /// Overwrites a flow, as nothing but the programs does: what they remember of it is void.
    pub fn rewrite(&mut self, key: &FlowKey, flow: Flow) {
        self.hash("fr_conntrack").insert(*key, flow, 0).expect("it is there");
        self.forget();
    }

    /// Takes a flow out of the table, behind the programs' back.
    pub fn steal(&mut self, key: &FlowKey) {
        self.hash::<FlowKey, Flow>("fr_conntrack").remove(key).expect("it is there");
    }

    /// Makes void what the programs remember of flows, as whoever removes one does.
    pub fn forget(&mut self) {
        let mut removals = self.array("fr_removals");
        let Removals { count } = removals.get(&0, 0).expect("it is within bounds");
        removals.set(0, Removals { count: count + 1 }, 0).expect("it is within bounds");
    }

    /// How many flows an endpoint is charged with.
    pub fn share(&mut self, endpoint: u32) -> u64 {
        self.shares(endpoint).flows()
    }

    /// What an endpoint has of the table.
    pub fn shares(&mut self, endpoint: u32) -> Share {
        self.array::<Share>("fr_shares").get(&endpoint, 0).expect("it is within bounds")
    }

    /// Has an endpoint charged with flows.
    pub fn set_share(&mut self, endpoint: u32, share: Share) {
        self.array("fr_shares").set(endpoint, share, 0).expect("it is within bounds");
    }

    /// Shares the table out.
    pub fn set_quota(&mut self, reserve: u32, pool: u32) {
        self.array("fr_quota").set(0, Quota::new(reserve, pool), 0).expect("it is within bounds");
    }

    /// What a tenant has of the pool; 0 for all of them.
    pub fn pooled(&mut self, tenant: u32) -> u32 {
        self.array::<Tenant>("fr_tenants").get(&tenant, 0).expect("it is within bounds").pooled
    }

    /// Has a tenant, or all of them, have so much of the pool.
    pub fn set_pooled(&mut self, tenant: u32, pooled: u32) {
        self.array("fr_tenants").set(tenant, Tenant { pooled, pad: 0 }, 0).expect("it is within bounds");
    }
}

const fn rule_key(table: u32, class: u32, Ports(protocol, port, port_bits): Ports) -> RuleKey {
    RuleKey { table, class, port, port_bits, protocol }
}
