//! Who holds how much of the maps that sockets fill: `fr_svc_owners` and `fr_svc_totals`.
//!
//! An owner is a network namespace: a pod, or the node. Each map that sockets fill has a [`Room`]: what one owner may hold
//! at most, and what is kept for owners that hold little, so that nobody's many sockets cost another its few.

use crate::capacity;

value! {
    /// The value of `fr_svc_owners`, by the cookie of a network namespace, and the only one of `fr_svc_totals`: entries.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Owner {
        /// Of `fr_svc_socks`.
        pub sockets: u64,
        /// Of `fr_svc_tcp`.
        pub streams: u64,
        /// Of `fr_affinity`.
        pub clients: u64,
        /// Entries that were refused, of all three, since the owner is known.
        pub refused: u64,
    }
}

/// The owner of what no known namespace asks for: one that is made within a pod, another plugin's pod. They share.
pub const STRANGERS: [u32; 2] = [0; 2];
/// The owner of entries that count nowhere: they were taken along from another layout's maps.
pub const NOBODY: [u32; 2] = [u32::MAX; 2];

/// How a map is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What one owner holds at most.
    pub share: u32,
    /// What an owner holds for certain, as long as no more than `kept / each` of them do.
    pub each: u32,
    /// What may be given away before only owners below `each` get more.
    pub common: u32,
}

impl Room {
    /// Half of a map is common; an eighth of it is the most that one owner holds.
    const fn of(entries: u32) -> Self {
        Self { share: entries / 8, each: entries / 1024, common: entries / 2 }
    }

    /// Whether an owner gets another `more`, where it has `own` and all together have `all`.
    ///
    /// A sum that fell below zero, since the agent wrote it anew meanwhile, counts as nothing.
    #[inline(always)]
    #[must_use]
    pub const fn admits(&self, own: u64, all: u64, more: u32) -> bool {
        let (own, all) = (own as i64 + more as i64, all as i64 + more as i64);
        own <= self.each as i64 || (own <= self.share as i64 && all <= self.common as i64)
    }
}

/// Of `fr_svc_socks`.
pub const SOCKETS: Room = Room::of(capacity::SOCKETS);
/// Of `fr_svc_tcp`.
pub const STREAMS: Room = Room::of(capacity::STREAMS);
/// Of `fr_affinity`.
pub const CLIENTS: Room = Room::of(capacity::AFFINITY);

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{vec, vec::Vec};

    use super::*;

    /// Owners that take one entry after another, in turn, until nobody gets any; what each holds.
    fn taken(room: Room, entries: u32, wants: &[u64]) -> Vec<u64> {
        let (mut held, mut all) = (vec![0_u64; wants.len()], 0);
        loop {
            let before = all;
            for (held, wants) in held.iter_mut().zip(wants) {
                if *held < *wants && all < u64::from(entries) && room.admits(*held, all, 1) {
                    (*held, all) = (*held + 1, all + 1);
                }
            }
            if all == before {
                return held;
            }
        }
    }

    const MAPS: [(Room, u32); 3] =
        [(SOCKETS, capacity::SOCKETS), (STREAMS, capacity::STREAMS), (CLIENTS, capacity::AFFINITY)];

    #[test]
    fn one_owner_never_has_more_than_its_share() {
        for (room, entries) in MAPS {
            assert_eq!(taken(room, entries, &[u64::MAX]), [u64::from(entries / 8)]);
        }
    }

    #[test]
    fn whoever_comes_after_the_greedy_gets_what_each_has_for_certain() {
        for (room, entries) in MAPS {
            // The greedy have all that there is for them before anybody else comes.
            let mut held = taken(room, entries, &[u64::MAX; 64]);
            let mut all: u64 = held.iter().sum();
            let certain = u64::from(room.each);
            assert!(held.iter().all(|held| *held >= certain) && all <= u64::from(room.common) + 64 * certain);
            for _ in 0..(512 - 64) {
                let mut own = 0;
                while own < certain && all < u64::from(entries) && room.admits(own, all, 1) {
                    (own, all) = (own + 1, all + 1);
                }
                held.push(own);
            }
            assert!(held.iter().all(|held| *held >= certain), "{held:?}");
        }
    }

    #[test]
    fn a_few_get_their_share_whole() {
        for (room, entries) in MAPS {
            let share = u64::from(room.share);
            assert_eq!(taken(room, entries, &[share, share, 3]), [share, share, 3]);
        }
    }

    #[test]
    fn a_sum_below_zero_is_nothing() {
        assert!(SOCKETS.admits(u64::MAX, u64::MAX - 7, 1));
    }

    #[test]
    fn several_at_once_are_all_admitted_or_none() {
        let room = Room { share: 10, each: 4, common: 20 };
        assert!(room.admits(1, 100, 3) && !room.admits(2, 100, 3));
        assert!(room.admits(7, 17, 3) && !room.admits(8, 10, 3) && !room.admits(7, 18, 3));
    }
}
