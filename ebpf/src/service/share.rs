//! What sockets may leave in the maps: each network namespace has its share (`fr_svc_owners`, `ferrule_common::owner`).

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_get_netns_cookie;
use ferrule_common::owner::{CLIENTS, NOBODY, Owner, Room, SOCKETS, STRANGERS, STREAMS};

use crate::{
    atomic::add,
    maps::{OWNERS, OWNERS_KNOWN, TOTALS},
    service::cookie::halves,
};

/// Of which map.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// `fr_svc_socks`.
    Sockets,
    /// `fr_svc_tcp`.
    Streams,
    /// `fr_affinity`.
    Clients,
}

impl Of {
    #[inline(always)]
    const fn room(self) -> Room {
        match self {
            Self::Sockets => SOCKETS,
            Self::Streams => STREAMS,
            Self::Clients => CLIENTS,
        }
    }

    /// # Safety
    /// `owner` points to a value of a map.
    #[inline(always)]
    unsafe fn counter(self, owner: *mut Owner) -> *mut u64 {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Self::Sockets => &raw mut (*owner).sockets,
                Self::Streams => &raw mut (*owner).streams,
                Self::Clients => &raw mut (*owner).clients,
            }
        }
    }
}

/// Whose share an entry counts in.
#[derive(Clone, Copy)]
pub struct Payer {
    /// As entries name it.
    pub owner: [u32; 2],
    counts: *mut Owner,
}

impl Payer {
    /// Who has the socket that a program is called for, if it may have `more` entries.
    #[inline(always)]
    pub fn of(ctx: *mut c_void, of: Of, more: u32) -> Option<Self> {
        // SAFETY: the context is this program's own.
        let (owner, counts) = known(halves(unsafe { bpf_get_netns_cookie(ctx) }))?;
        let all = TOTALS.get_ptr_mut(0)?;
        // SAFETY: aligned words of maps, which are read once; that others write them meanwhile costs an entry or two.
        let (own, all) = unsafe { (of.counter(counts).read_volatile(), of.counter(all).read_volatile()) };
        if of.room().admits(own, all, more) {
            return Some(Self { owner, counts });
        }
        // SAFETY: as above.
        unsafe { add(&raw mut (*counts).refused, 1) };
        None
    }

    /// It has one more.
    #[inline(always)]
    pub fn pay(&self, of: Of) {
        count(self.counts, of, 1);
    }
}

/// Entries of an owner's are gone.
#[inline(always)]
pub fn refund(owner: [u32; 2], of: Of, entries: u32) {
    if owner == NOBODY {
        return;
    }
    // An owner that has gone needs no share; what all have is counted on.
    match OWNERS.get_ptr_mut(&owner) {
        Some(counts) => count(counts, of, (entries as u64).wrapping_neg()),
        None => count_all(of, (entries as u64).wrapping_neg()),
    }
}

#[inline(always)]
fn count(counts: *mut Owner, of: Of, entries: u64) {
    // SAFETY: an aligned word of a value, whose place is given to no other map.
    unsafe { add(of.counter(counts), entries) };
    count_all(of, entries);
}

#[inline(always)]
fn count_all(of: Of, entries: u64) {
    if let Some(all) = TOTALS.get_ptr_mut(0) {
        // SAFETY: an aligned word of an array, which is never freed while the program is loaded.
        unsafe { add(of.counter(all), entries) };
    }
}

/// A namespace that is known, or that becomes so where nobody says which are; else strangers.
#[inline(always)]
fn known(cookie: [u32; 2]) -> Option<([u32; 2], *mut Owner)> {
    if let Some(counts) = OWNERS.get_ptr_mut(&cookie) {
        return Some((cookie, counts));
    }
    if OWNERS_KNOWN.load() == 0
        && let Some(counts) = begin(cookie)
    {
        return Some((cookie, counts));
    }
    let counts = OWNERS.get_ptr_mut(&STRANGERS).or_else(|| begin(STRANGERS))?;
    Some((STRANGERS, counts))
}

#[inline(always)]
fn begin(owner: [u32; 2]) -> Option<*mut Owner> {
    const NOEXIST: u64 = 1;
    // Of several that try, one succeeds, and all find it.
    let _ = OWNERS.insert(&owner, &Owner { sockets: 0, streams: 0, clients: 0, refused: 0 }, NOEXIST);
    OWNERS.get_ptr_mut(&owner)
}
