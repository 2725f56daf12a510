//! The table of flows: how an entry comes, and how it goes. [`crate::conntrack::quota`] says who may have how many.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_map_pop_elem};
use ferrule_common::{
    Drop,
    flow::{Flow, FlowKey, INCOMING, POOLED, QueuedFlow},
};

use crate::{
    conntrack::{
        age,
        quota::{self, DONE},
    },
    context::PacketContext,
    maps::{CONNTRACK, FLOW_QUEUE},
};

/// How far the clock's hand moves for one packet.
const STEPS: u32 = 24;
const EEXIST: i32 = -17;

/// The entry of a flow.
#[inline(always)]
pub fn find(key: &FlowKey) -> Option<*mut Flow> {
    CONNTRACK.get_ptr_mut(key)
}

/// Makes the entry that the context has drafted. Gives [`DONE`] or the number of a [`Drop`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_insert() -> u32 {
    let Some(context) = PacketContext::current() else { return Drop::ConntrackFull as u32 };
    context.kin = 0;
    let PacketContext { key, draft, queued, kin, .. } = context;
    let (key, flow) = (&*key, draft);
    let full = quota::place(flow);
    if full != DONE {
        // One that is over, or one of its own that nobody has confirmed, makes room for it; or it goes by what the hand freed.
        *kin = if full == quota::OF_TENANT { flow.tenant } else { 0 };
        let replaced = fr_clock(flow.charged, flow.counted & INCOMING) != 0;
        let refused = quota::place(flow);
        if refused != DONE && !replaced {
            quota::refuse(flow.charged);
            return refused & 0xff;
        }
    }
    if let Err(error) = CONNTRACK.insert(key, &*flow, BPF_NOEXIST.into()) {
        if error == EEXIST {
            // Another CPU's packet of the same flow came first.
            return DONE;
        }
        if fr_clock(EVERYBODY, 0) == 0 || CONNTRACK.insert(key, &*flow, BPF_NOEXIST.into()).is_err() {
            quota::refuse(flow.charged);
            return Drop::ConntrackFull as u32;
        }
    }
    quota::count(flow.charged, flow.tenant, flow.counted, 1);
    (queued.key, queued.stamp) = (*key, flow.stamp);
    if FLOW_QUEUE.push(&*queued, 0).is_err() {
        // Full of keys whose entries have gone otherwise.
        fr_clock(NOBODY, 0);
        if FLOW_QUEUE.push(&*queued, 0).is_err() {
            remove(key, flow);
            return Drop::ConntrackFull as u32;
        }
    }
    DONE
}

/// Removes an entry, and counts it out.
#[inline(always)]
pub fn remove(key: &FlowKey, flow: &Flow) {
    // Read before it goes: its memory may be another flow's after that.
    let (charged, tenant, counted) = (flow.charged, flow.tenant, flow.counted);
    // Of several that try, one succeeds.
    if CONNTRACK.remove(key).is_ok() {
        quota::count(charged, tenant, counted, -1);
    }
}

/// For [`fr_clock`]: whosever place it is.
const EVERYBODY: u32 = u32::MAX;
/// For [`fr_clock`]: no entry, but a place in the queue.
const NOBODY: u32 = u32::MAX - 1;

/// Moves the clock's hand until a place is free that an endpoint, `wanted`, had in the direction `incoming`. Gives 1 if one is.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_clock(wanted: u32, incoming: u32) -> u32 {
    let now = age::now();
    for _ in 0..STEPS {
        let end = fr_clock_step(wanted, incoming, now);
        if end & GONE != 0 {
            fr_evict();
        }
        if end & !GONE != GO_ON {
            return end & !GONE;
        }
    }
    0
}

/// Takes the key that has waited longest; false where none waits. Into a map's memory: five functions lie on the stack by now,
/// and kernels before 6.5 round each one's part up to 32 bytes.
#[inline(always)]
fn pop(queued: &mut QueuedFlow) -> bool {
    let queue = (&raw const FLOW_QUEUE).cast_mut().cast();
    // SAFETY: the map's own value type, and room for one.
    unsafe { bpf_map_pop_elem(queue, core::ptr::from_mut(queued).cast()) == 0 }
}

/// What [`fr_clock_step`] gives where nothing is decided: neither the 0 nor the 1 that [`fr_clock`] gives.
const GO_ON: u32 = 2;

/// In [`fr_clock_step`]: what nobody has confirmed goes, too.
const UNCONFIRMED: u32 = 1 << 8;

/// Looks at the flow that has waited longest. A function of its own, so that the verifier reads it once, and not once for
/// each turn of a loop.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_clock_step(wanted: u32, incoming: u32, now: u32) -> u32 {
    let Some(context) = PacketContext::current() else { return 0 };
    let queued = &mut context.popped;
    if !pop(queued) {
        return 0;
    }
    let flow = match find(&queued.key) {
        // SAFETY: a value of the map, which a program may read while it runs.
        Some(flow) => unsafe { &*flow },
        None if wanted == NOBODY => return 1,
        None => return GO_ON,
    };
    if flow.stamp != queued.stamp {
        return if wanted == NOBODY { 1 } else { GO_ON };
    }
    let own = wanted == flow.charged && incoming == flow.counted & INCOMING;
    let kin = flow.tenant != 0 && flow.tenant == context.kin && flow.counted == INCOMING | POOLED;
    // One word, and not three: the stack is short.
    let end = if own || wanted == NOBODY || wanted == EVERYBODY { 1 } else { GO_ON };
    let end = if own || kin { end | UNCONFIRMED } else { end };
    let protocol = queued.key.protocol;
    if age::is_evictable(flow, protocol, now) || end & UNCONFIRMED != 0 && age::is_unconfirmed(flow, protocol) {
        return end & !UNCONFIRMED | GONE;
    }
    // Else it is an entry that nothing would ever look at again.
    if FLOW_QUEUE.push(&*queued, 0).is_err() { GO_ON | GONE } else { GO_ON }
}

/// In what [`fr_clock_step`] gives: the flow that it looked at goes.
const GONE: u32 = 1 << 9;

/// Removes the flow that [`fr_clock_step`] looked at. A function of its own, so that the two do not lie on the stack together.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_evict() -> u32 {
    let Some(context) = PacketContext::current() else { return 0 };
    let Some(flow) = find(&context.popped.key) else { return 0 };
    // SAFETY: as in `fr_clock_step`.
    let flow = unsafe { &*flow };
    if flow.stamp != context.popped.stamp {
        return 0;
    }
    remove(&context.popped.key, flow);
    1
}
