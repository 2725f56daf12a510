//! What a Service's port leads to.

use aya_ebpf::{
    EbpfContext,
    helpers::{
        bpf_get_prandom_u32,
        generated::{bpf_get_netns_cookie, bpf_jiffies64},
    },
    programs::SockAddrContext,
};
use ferrule_common::{
    Address,
    service::{Affinity, AffinityKey, Backend, BackendKey, FrontendKey, MemberKey, PortWord, TRIES},
};

use crate::{
    maps::{AFFINITY, BACKENDS, JIFFIES, MEMBERS, SERVICES, SERVICES_ON},
    service::{
        cookie::halves,
        share::{Of, Payer},
    },
};

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Nothing of a Service's.
    Nothing,
    /// A Service's address without such a port.
    Refused,
    /// A Service's port.
    Port(PortWord),
}

/// What a frontend is.
#[inline(always)]
pub fn ask(frontend: &FrontendKey) -> Asked {
    if let Some(word) = word(frontend) {
        return Asked::Port(word);
    }
    if is_address(&frontend.address) { Asked::Refused } else { Asked::Nothing }
}

#[inline(always)]
fn word(frontend: &FrontendKey) -> Option<PortWord> {
    // SAFETY: an aligned word, which is read once and never half written.
    SERVICES.get_ptr(frontend).map(|word| unsafe { word.read_volatile() })
}

/// Whether an address is a Service's.
#[inline(always)]
pub fn is_address(address: &Address) -> bool {
    SERVICES_ON.load() != 0 && SERVICES.get_ptr(&FrontendKey::address(*address)).is_some()
}

/// Whether the host's stack translates what no socket program saw.
#[inline(always)]
pub fn is_for_stack() -> bool {
    word(&FrontendKey::UNSEEN).is_some()
}

/// Whether a backend is in a set.
#[inline(always)]
pub fn has(set: u32, backend: &Backend) -> bool {
    MEMBERS.get_ptr(&MemberKey { set, backend: *backend }).is_some()
}

/// A backend of a frontend, and the set that it is in: the one that the client had last, while it keeps it, else any;
/// rather none that is `taken`.
#[inline(always)]
pub fn pick(
    ctx: &SockAddrContext,
    frontend: &FrontendKey,
    word: PortWord,
    taken: impl Fn(&Backend) -> bool,
) -> Option<(Backend, u32)> {
    if word.affinity() == 0 {
        return any(frontend, word, taken);
    }
    // SAFETY: the context is this program's own.
    let cookie = unsafe { bpf_get_netns_cookie(ctx.as_ptr()) };
    let key = AffinityKey { client: halves(cookie), frontend: *frontend };
    // SAFETY: takes nothing and gives a number.
    let now = (unsafe { bpf_jiffies64() }) as u32;
    let last = AFFINITY.get_ptr_mut(&key);
    let chosen = match last.and_then(|last| kept(last, word, now)) {
        Some(backend) => (backend, word.set()),
        None => any(frontend, word, taken)?,
    };
    remember(ctx, &key, last, chosen.0, now);
    Some(chosen)
}

#[inline(always)]
fn kept(last: *mut Affinity, word: PortWord, now: u32) -> Option<Backend> {
    // SAFETY: another CPU may write this client's entry at the same time; a mixture of two backends is no member.
    let last = unsafe { *last };
    let fresh = now.wrapping_sub(last.seen) <= word.affinity() * JIFFIES.load();
    (fresh && has(word.set(), &last.backend)).then_some(last.backend)
}

/// Notes which backend a client has. One that cannot be remembered gets another backend the next time.
#[inline(always)]
fn remember(ctx: &SockAddrContext, key: &AffinityKey, last: Option<*mut Affinity>, backend: Backend, now: u32) {
    if let Some(last) = last {
        // SAFETY: as in `kept`.
        unsafe { ((*last).backend, (*last).seen) = (backend, now) };
        return;
    }
    const NOEXIST: u64 = 1;
    let Some(payer) = Payer::of(ctx.as_ptr(), Of::Clients, 1) else { return };
    if AFFINITY.insert(key, &Affinity { backend, seen: now, owner: payer.owner }, NOEXIST).is_ok() {
        payer.pay(Of::Clients);
    }
}

#[inline(always)]
fn any(frontend: &FrontendKey, word: PortWord, taken: impl Fn(&Backend) -> bool) -> Option<(Backend, u32)> {
    if let Some(backend) = at_random(word, taken) {
        return Some((backend, word.set()));
    }
    // A set is there for longer than a program runs, unless somebody removed it; the word may name another by now.
    let word = self::word(frontend)?;
    Some((at_random(word, |_| false)?, word.set()))
}

/// One at random; the next ones where that is taken.
#[inline(always)]
fn at_random(word: PortWord, taken: impl Fn(&Backend) -> bool) -> Option<Backend> {
    let (set, count) = (word.set(), word.count());
    if count == 0 {
        return None;
    }
    // SAFETY: takes nothing and gives a number.
    let first = (unsafe { bpf_get_prandom_u32() }) % count;
    let backend = at(set, first)?;
    if !taken(&backend) {
        return Some(backend);
    }
    for further in 1..TRIES {
        let other = at(set, (first + further) % count)?;
        if !taken(&other) {
            return Some(other);
        }
    }
    Some(backend)
}

#[inline(always)]
fn at(set: u32, place: u32) -> Option<Backend> {
    // SAFETY: a set is not edited while anything names it.
    unsafe { BACKENDS.get(&BackendKey { set, place }) }.copied()
}
