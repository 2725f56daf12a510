//! What owners are counted with, against the entries that there are: removals by the agent are not counted by programs, and
//! an owner that is made anew begins at nothing.
//!
//! Programs go on counting while entries are read, so that one look tells nothing: what two looks agree on is mended.

use std::collections::HashMap;

use ferrule_common::{
    owner::{NOBODY, Owner},
    service::{Affinity, Socket},
};
use ferrule_kernel::bpf::Held;

/// Of `fr_svc_socks`, `fr_svc_tcp` and `fr_affinity`.
pub(super) type Counts = [i64; 3];

/// How many entries each owner has, and all together; those that count nowhere are left out.
pub(super) fn counted(held: &Held) -> (HashMap<[u32; 2], Counts>, Counts) {
    let (mut owners, mut all) = (HashMap::<_, Counts>::new(), Counts::default());
    let mut add = |owner: [u32; 2], of: usize| {
        if owner != NOBODY {
            owners.entry(owner).or_default()[of] += 1;
            all[of] += 1;
        }
    };
    let socket = |(_, socket): &(_, Socket)| socket.owner;
    held.sockets.iter().map(socket).for_each(|owner| add(owner, 0));
    held.streams.iter().map(socket).for_each(|owner| add(owner, 1));
    held.clients.iter().for_each(|(_, last): &(_, Affinity)| add(last.owner, 2));
    (owners, all)
}

/// By how much more an owner is counted with than it has.
pub(super) const fn surplus(stored: &Owner, counted: Counts) -> Counts {
    let [sockets, streams, clients] = counted;
    [
        stored.sockets.cast_signed() - sockets,
        stored.streams.cast_signed() - streams,
        stored.clients.cast_signed() - clients,
    ]
}

/// What two looks agree on: the smaller of two surpluses, or of two that are missing.
pub(super) fn agreed(before: Counts, now: Counts) -> Counts {
    std::array::from_fn(|of| match (before[of], now[of]) {
        (before, now) if before > 0 && now > 0 => before.min(now),
        (before, now) if before < 0 && now < 0 => before.max(now),
        _ => 0,
    })
}

/// An owner without its surplus.
pub(super) const fn mended(stored: Owner, surplus: Counts) -> Owner {
    let [sockets, streams, clients] = surplus;
    Owner {
        sockets: stored.sockets.wrapping_sub(sockets.cast_unsigned()),
        streams: stored.streams.wrapping_sub(streams.cast_unsigned()),
        clients: stored.clients.wrapping_sub(clients.cast_unsigned()),
        refused: stored.refused,
    }
}

#[cfg(test)]
mod tests {
    use ferrule_common::service::{AffinityKey, Backend, FrontendKey, SocketKey};

    use super::*;

    const POD: [u32; 2] = [7, 0];

    fn held(sockets: usize, owner: [u32; 2]) -> Held {
        let key = SocketKey { cookie: [1, 0], backend: Backend::NONE, place: 0 };
        let socket = Socket { frontend: FrontendKey::NONE, backend: Backend::NONE, set: 0, loose: 0, owner };
        let client = AffinityKey { client: owner, frontend: FrontendKey::NONE };
        Held {
            sockets: vec![(key, socket); sockets],
            streams: vec![(key, socket)],
            clients: vec![(client, Affinity { backend: Backend::NONE, seen: 0, owner }); 2],
        }
    }

    #[test]
    fn entries_count_for_whom_they_name_and_those_of_nobody_for_none() {
        let (owners, all) = counted(&held(3, POD));
        assert_eq!((owners[&POD], all), ([3, 1, 2], [3, 1, 2]));
        let (owners, all) = counted(&held(3, NOBODY));
        assert!(owners.is_empty());
        assert_eq!(all, [0, 0, 0]);
    }

    #[test]
    fn what_two_looks_agree_on_is_mended_and_what_comes_and_goes_is_not() {
        assert_eq!(agreed([5, -3, 4], [7, -1, -4]), [5, -1, 0]);
        let stored = Owner { sockets: 8, streams: u64::MAX, clients: 2, refused: 9 };
        let gap = surplus(&stored, [3, 0, 2]);
        assert_eq!(gap, [5, -1, 0]);
        assert_eq!(mended(stored, gap), Owner { sockets: 3, streams: 0, clients: 2, refused: 9 });
    }
}
