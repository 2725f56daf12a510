//! Whose an address is: first the known peers, then the pod CIDRs. Local pods are asked for before, in `endpoint`.

use aya_ebpf::btf_maps::lpm_trie::Key;
use ferrule_common::{
    Address,
    peer::{self, Node},
    prefix::{self, Lookup, PrefixKey},
};

use crate::maps::{CIDRS, NODES, PEERS, ROUTES};

/// What an address that is not a local pod's belongs to. Plain words and no `Option`: the verifier wants every register
/// written on every path.
#[derive(Clone, Copy)]
pub struct Owner {
    /// Index into `fr_nodes`, `peer::SELF`, or [`NOBODY`].
    node: u32,
    /// `peer::POD`, `peer::NODE`, or 0 for nobody.
    kind: u32,
}

const NOBODY: Owner = Owner { node: u32::MAX, kind: 0 };

impl Owner {
    /// This node itself, or an address of its pod CIDRs.
    #[inline(always)]
    pub const fn is_self(&self) -> bool {
        self.node == peer::SELF
    }

    /// Nobody owns the address.
    #[inline(always)]
    pub const fn is_nobody(&self) -> bool {
        self.kind == 0
    }

    /// A node's own address, rather than one of its pods'.
    #[inline(always)]
    pub const fn is_node(&self) -> bool {
        self.kind == peer::NODE
    }

    /// One of this node's own addresses.
    #[inline(always)]
    pub const fn is_own_node(&self) -> bool {
        self.is_self() && self.is_node()
    }

    /// How the owner is reached. This node's own entry is empty, and nobody has none.
    #[inline(always)]
    pub fn node(&self) -> Option<&'static Node> {
        NODES.get(self.node)
    }

    /// Whether the owner is another node, or a pod of it, and `address` one of that node's. While an entry gives way to its
    /// successor both are in use: two entries with one InternalIP are of one node, since no two nodes have the same.
    #[inline(always)]
    pub fn is_at(&self, address: &Address) -> bool {
        let at = known(address);
        if !at.is_node() || at.is_self() || self.is_self() {
            return false;
        }
        if at.node == self.node {
            return true;
        }
        let (Some(at), Some(own)) = (at.node(), self.node()) else { return false };
        at.internal_v4 != Address::UNSPECIFIED && at.internal_v4 == own.internal_v4
            || at.internal_v6 != Address::UNSPECIFIED && at.internal_v6 == own.internal_v6
    }

    /// Whether packets of the owner's pods travel as they are.
    #[inline(always)]
    pub fn is_native(&self) -> bool {
        self.node().is_some_and(|node| node.forwarding == peer::NATIVE)
    }
}

/// A known pod of another node, or a node's own address.
#[inline(always)]
pub fn known(address: &Address) -> Owner {
    // SAFETY: an update of eight bytes is seen whole; an entry being freed still names a node whose slot rests.
    match unsafe { PEERS.get(address) } {
        Some(peer) => Owner { node: peer.node, kind: peer.kind },
        None => NOBODY,
    }
}

/// The owner of the pod CIDR that holds `address`.
#[inline(always)]
pub fn of_prefix(address: &Address, v4: bool) -> Owner {
    let lookup = Lookup::of(*address, v4);
    match ROUTES.get(key(&lookup)) {
        Some(route) => Owner { node: route.node, kind: peer::POD },
        None => NOBODY,
    }
}

/// The owner of `address`, the more specific knowledge first.
#[inline(always)]
pub fn of(address: &Address, v4: bool) -> Owner {
    let owner = known(address);
    if owner.is_nobody() { of_prefix(address, v4) } else { owner }
}

/// Whether `address` lies in a CIDR of the cluster, owned or not.
#[inline(always)]
pub fn in_cluster(address: &Address, v4: bool) -> bool {
    let lookup = Lookup::of(*address, v4);
    CIDRS.get(key(&lookup)).is_some_and(|cidr| cidr.flags & prefix::CLUSTER != 0)
}

#[inline(always)]
fn key(lookup: &Lookup) -> &Key<PrefixKey> {
    const { assert!(size_of::<Lookup>() == size_of::<Key<PrefixKey>>()) };
    // SAFETY: the same fields in the same order and of the same size, and `Key` asks for no alignment.
    unsafe { &*core::ptr::from_ref(lookup).cast() }
}
