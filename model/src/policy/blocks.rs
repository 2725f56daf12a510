//! Where CIDRs and their exceptions begin and end: the prefixes of the map that says what holds for an address that is
//! no pod's. A prefix has the facts of the addresses whose longest prefix it is.

use std::{collections::BTreeMap, net::IpAddr};

use ipnetwork::IpNetwork;

use super::term::Block;
use crate::cidr::{self, Family};

/// A prefix' place: what lies inside of it follows at once.
pub(super) type Place = (Family, u128, u8);

/// A prefix where some block begins or ends.
#[derive(Debug)]
pub(super) struct Boundary {
    pub(super) prefix: IpNetwork,
    /// How many blocks begin or end here.
    blocks: usize,
    /// Sorted.
    pub(super) facts: Vec<u32>,
    /// Its class, once it has one.
    pub(super) class: Option<u32>,
}

/// Every boundary.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    boundaries: BTreeMap<Place, Boundary>,
    /// How many there are of each length.
    lengths: BTreeMap<(Family, u8), usize>,
    /// What changed since the last look, with the class that the map has.
    touched: BTreeMap<Place, (IpNetwork, Option<u32>)>,
    /// Facts of all boundaries together: what blocks within blocks multiply.
    marks: usize,
    /// Some block's facts were left out, since there would be more than [`MARKS`].
    overfull: bool,
}

/// How many facts all boundaries together may have: 16 MiB.
const MARKS: usize = 1 << 22;

pub(super) fn place(prefix: IpNetwork) -> Place {
    (Family::of_net(prefix), cidr::number(prefix.network()), prefix.prefix())
}

impl Blocks {
    /// Adds a block whose addresses have a fact.
    pub(super) fn add(&mut self, block: &Block, fact: u32) {
        for prefix in block.boundaries() {
            let at = place(prefix);
            if let Some(boundary) = self.boundaries.get_mut(&at) {
                boundary.blocks += 1;
                continue;
            }
            let facts = self.longest(prefix.network(), prefix.prefix()).map_or(vec![], |around| around.facts.clone());
            self.marks += facts.len();
            self.boundaries.insert(at, Boundary { prefix, blocks: 1, facts, class: None });
            *self.lengths.entry((at.0, at.2)).or_default() += 1;
            self.touched.entry(at).or_insert((prefix, None));
        }
        let more = self.covered(block).take(MARKS.saturating_sub(self.marks) + 1).count();
        if self.overfull || self.marks + more > MARKS {
            self.overfull = true;
            return;
        }
        let mut added = 0;
        self.edit(block, |facts| {
            if let Err(slot) = facts.binary_search(&fact) {
                facts.insert(slot, fact);
                added += 1;
            }
        });
        self.marks += added;
    }

    /// Whether the facts of some block were left out; asked once.
    pub(super) fn take_overfull(&mut self) -> bool {
        std::mem::take(&mut self.overfull)
    }

    /// The boundaries that a block covers.
    fn covered<'a>(&'a self, block: &'a Block) -> impl Iterator<Item = &'a Boundary> {
        let (family, first, bits) = place(block.cidr);
        let last = (family, cidr::number(block.cidr.broadcast()), u8::MAX);
        let within = self.boundaries.range((family, first, bits)..=last);
        within.map(|(_, boundary)| boundary).filter(|boundary| block.covers(boundary.prefix))
    }

    /// Removes a block; returns the classes of boundaries that went with it.
    pub(super) fn remove(&mut self, block: &Block, fact: u32) -> Vec<u32> {
        let mut removed = 0;
        self.edit(block, |facts| {
            if let Ok(slot) = facts.binary_search(&fact) {
                facts.remove(slot);
                removed += 1;
            }
        });
        self.marks -= removed;
        let mut gone = Vec::new();
        for prefix in block.boundaries() {
            let at = place(prefix);
            let Some(boundary) = self.boundaries.get_mut(&at) else { continue };
            boundary.blocks -= 1;
            if boundary.blocks > 0 {
                continue;
            }
            self.touched.entry(at).or_insert((prefix, boundary.class));
            gone.extend(boundary.class);
            self.marks -= boundary.facts.len();
            self.boundaries.remove(&at);
            if let Some(count) = self.lengths.get_mut(&(at.0, at.2)) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&(at.0, at.2));
                }
            }
        }
        gone
    }

    /// Edits the facts of every boundary that a block covers.
    fn edit(&mut self, block: &Block, mut edit: impl FnMut(&mut Vec<u32>)) {
        let (family, first, bits) = place(block.cidr);
        let last = (family, cidr::number(block.cidr.broadcast()), u8::MAX);
        for (at, boundary) in self.boundaries.range_mut((family, first, bits)..=last) {
            if block.covers(boundary.prefix) {
                edit(&mut boundary.facts);
                self.touched.entry(*at).or_insert((boundary.prefix, boundary.class));
            }
        }
    }

    /// The longest boundary, shorter than `bits`, that holds an address.
    fn longest(&self, address: IpAddr, bits: u8) -> Option<&Boundary> {
        let family = Family::of(address);
        let lengths = self.lengths.range((family, 0)..(family, bits)).rev();
        lengths.map(|((_, length), _)| *length).find_map(|length| {
            let shift = u32::from(family.bits() - length);
            let network = cidr::number(address).checked_shr(shift).unwrap_or(0).checked_shl(shift).unwrap_or(0);
            self.boundaries.get(&(family, network, length))
        })
    }

    /// What holds for an address by its blocks.
    pub(super) fn at(&self, address: IpAddr) -> Option<&Boundary> {
        if self.boundaries.is_empty() {
            return None;
        }
        self.longest(address, u8::MAX)
    }

    /// What changed, shortest prefixes of a family first.
    pub(super) fn touched(&self) -> Vec<Place> {
        self.touched.keys().copied().collect()
    }

    pub(super) fn get_mut(&mut self, at: Place) -> Option<&mut Boundary> {
        self.boundaries.get_mut(&at)
    }

    pub(super) fn get(&self, at: Place) -> Option<&Boundary> {
        self.boundaries.get(&at)
    }

    /// What the map has of a boundary that was touched.
    pub(super) fn before(&self, at: Place) -> Option<u32> {
        self.touched.get(&at).and_then(|(_, class)| *class)
    }

    /// Takes what changed: prefixes with the class that the map has and the one that it shall have.
    pub(super) fn take_touched(&mut self) -> Vec<(IpNetwork, Option<u32>, Option<u32>)> {
        let touched = std::mem::take(&mut self.touched);
        let now = |at: Place| self.boundaries.get(&at).and_then(|boundary| boundary.class);
        touched.into_iter().map(|(at, (prefix, before))| (prefix, before, now(at))).collect()
    }

    /// Has a boundary looked at again.
    pub(super) fn touch(&mut self, at: Place) {
        if let Some(boundary) = self.boundaries.get(&at) {
            self.touched.entry(at).or_insert((boundary.prefix, boundary.class));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.boundaries.len()
    }
}
