//! Who may have how many flows (`fr_shares`, `fr_tenants`). An endpoint has a reserve in each direction that nobody else can take. Beyond it all share a
//! pool: an endpoint up to its share, and a tenant up to a multiple of what is left, so that something always is.

use ferrule_common::{
    Drop,
    flow::{Flow, INCOMING, POOLED, Quota, Share, TENANT_FACTOR},
};

use crate::{
    atomic::add32,
    maps::{FLOW_SHARE, QUOTA, SHARES, SOURCES, TENANTS},
};

/// There is room.
pub const DONE: u32 = 0;

/// The index of `fr_tenants` that holds the sum of all.
const EVERYBODY: u32 = 0;

/// The tenant of an endpoint; 0 where it has none, as the node itself.
#[inline(always)]
pub fn tenant(endpoint: u32) -> u32 {
    SOURCES.get(endpoint).map_or(0, |source| source.tenant)
}

/// Finds a place for a flow, and says in it which. Gives [`DONE`] or the number of a [`Drop`].
#[inline(always)]
pub fn place(flow: &mut Flow) -> u32 {
    let Some(share) = SHARES.get(flow.charged) else { return Drop::ConntrackShare as u32 };
    let incoming = flow.counted & INCOMING;
    let (reserved, pooled) =
        if incoming != 0 { (share.reserved_in, share.pooled_in) } else { (share.reserved_out, share.pooled_out) };
    let (reserved, pooled) = (whole(reserved), whole(pooled));
    let quota = QUOTA.get(0).map_or(Quota(0), |quota| *quota);
    if reserved < quota.reserve() {
        flow.counted = incoming;
        return DONE;
    }
    flow.counted = incoming | POOLED;
    if reserved + pooled >= FLOW_SHARE.load() {
        return Drop::ConntrackShare as u32;
    }
    if quota.0 == 0 {
        return DONE;
    }
    let free = quota.pool().saturating_sub(pool(EVERYBODY));
    if free == 0 {
        return Drop::ConntrackFull as u32;
    }
    if flow.tenant != EVERYBODY && pool(flow.tenant) / TENANT_FACTOR >= free {
        return OF_TENANT;
    }
    DONE
}

/// What [`place`] gives where the tenant has its share; for who is refused it is a [`Drop::ConntrackShare`].
pub const OF_TENANT: u32 = Drop::ConntrackShare as u32 | 1 << 8;

/// What a tenant has of the pool.
#[inline(always)]
fn pool(tenant: u32) -> u32 {
    TENANTS.get(tenant).map_or(0, |tenant| whole(tenant.pooled))
}

/// A count that fell below zero, until the agent counts anew, is none.
#[inline(always)]
const fn whole(count: u32) -> u32 {
    if count as i32 > 0 { count } else { 0 }
}

/// Counts a flow that came (1) or went (-1).
#[inline(always)]
pub fn count(endpoint: u32, tenant: u32, counted: u32, flows: i32) {
    let Some(share) = SHARES.get_ptr_mut(endpoint) else { return };
    let share: *mut Share = share;
    // SAFETY: aligned words of arrays, which are never freed while the program is loaded.
    unsafe {
        let word = match (counted & INCOMING != 0, counted & POOLED != 0) {
            (false, false) => &raw mut (*share).reserved_out,
            (true, false) => &raw mut (*share).reserved_in,
            (false, true) => &raw mut (*share).pooled_out,
            (true, true) => &raw mut (*share).pooled_in,
        };
        add32(word, flows as u32);
    }
    if counted & POOLED == 0 {
        return;
    }
    count_pooled(EVERYBODY, flows);
    if tenant != EVERYBODY {
        count_pooled(tenant, flows);
    }
}

#[inline(always)]
fn count_pooled(tenant: u32, flows: i32) {
    if let Some(tenant) = TENANTS.get_ptr_mut(tenant) {
        // SAFETY: as in `count`.
        unsafe { add32(&raw mut (*tenant).pooled, flows as u32) };
    }
}

/// Counts that there was no room.
#[inline(always)]
pub fn refuse(endpoint: u32) {
    if let Some(share) = SHARES.get_ptr_mut(endpoint) {
        // SAFETY: as in `count`.
        unsafe { add32(&raw mut (*share).refused, 1) };
    }
}
