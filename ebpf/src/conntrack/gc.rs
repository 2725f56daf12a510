//! The agent's broom: what the clock's hand would do at need, done in time. Run by BPF_PROG_TEST_RUN; it is attached to
//! nothing.

use aya_ebpf::programs::TcContext;
use ferrule_common::{
    Address,
    flow::{Flow, FlowKey},
    peer,
    sweep::{ALL, OF_ADDRESS},
};

use crate::{
    conntrack::{age, cache, table},
    context::{PacketContext, Swept},
    forward::endpoint,
    maps::{FLOW_QUEUE, PEERS},
};

/// Flows that one run looks at.
const RUN: u32 = 64;

/// Looks at the next flows of the queue and removes those that have expired, or whose ends are gone. `cb[0]` says what
/// else goes; an address is the packet's IPv6 source. Gives how many flows were looked at in `cb[1]`, removed in `cb[2]`, and
/// in `cb[3]` how many keys had no flow any more.
#[inline(always)]
pub fn sweep(ctx: &TcContext) -> i32 {
    // SAFETY: the context pointer is valid while the program runs, and `cb` is a classifier's to write.
    let cb = unsafe { &mut (*ctx.skb.skb).cb };
    let what = cb[0];
    let address = if what == OF_ADDRESS {
        ctx.load::<Address>(SOURCE).unwrap_or(Address::UNSPECIFIED)
    } else {
        Address::UNSPECIFIED
    };
    let now = age::now();
    let Some(context) = PacketContext::current() else { return 0 };
    context.swept = Swept { address, seen: 0, removed: 0, stale: 0 };
    for _ in 0..RUN {
        if fr_sweep_next(what, now) == EMPTY {
            break;
        }
    }
    let Some(context) = PacketContext::current() else { return 0 };
    let Swept { seen, removed, stale, .. } = context.swept;
    (cb[1], cb[2], cb[3]) = (seen, removed, stale);
    0
}

/// The queue is empty.
const EMPTY: u32 = 0;
/// There may be more.
const MORE: u32 = 1;

/// Looks at the next flow.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_sweep_next(what: u32, now: u32) -> u32 {
    let Some(context) = PacketContext::current() else { return EMPTY };
    let address = context.swept.address;
    let Ok(Some(queued)) = FLOW_QUEUE.pop() else { return EMPTY };
    // SAFETY: a value of the map: this program may read and write it while it runs.
    let flow = table::find(&queued.key).map(|flow| unsafe { &mut *flow });
    let Some(flow) = flow.filter(|flow| flow.stamp == queued.stamp) else {
        context.swept.stale += 1;
        return MORE;
    };
    context.swept.seen += 1;
    let asked = what == ALL || what == OF_ADDRESS && (queued.key.lower == address || queued.key.higher == address);
    let expired = age::is_expired(flow, queued.key.protocol, now);
    let goes = asked || expired || is_orphan(&queued.key, flow);
    if goes || FLOW_QUEUE.push(&queued, 0).is_err() {
        table::remove(&queued.key, flow);
        if !expired {
            cache::invalidate_all();
        }
        context.swept.removed += 1;
        return MORE;
    }
    if flow.remote_pod == 0 && has_become_known(&queued.key, flow) {
        flow.remote_pod = 1;
    }
    MORE
}

/// Where the source address stands in an IPv6 packet.
const SOURCE: usize = 14 + 8;

/// Whether an end that was a pod is gone, or is another pod by now.
#[inline(never)]
fn is_orphan(key: &FlowKey, flow: &Flow) -> bool {
    is_gone(&key.lower, flow.lower_endpoint, flow.remote_pod)
        || is_gone(&key.higher, flow.higher_endpoint, flow.remote_pod)
}

/// Whether the end that is no pod of this node is a known pod by now.
#[inline(never)]
fn has_become_known(key: &FlowKey, flow: &Flow) -> bool {
    (flow.lower_endpoint == 0 && is_pod(&key.lower)) || (flow.higher_endpoint == 0 && is_pod(&key.higher))
}

#[inline(always)]
fn is_pod(address: &Address) -> bool {
    // SAFETY: eight bytes, of which one field is read.
    unsafe { PEERS.get(address) }.is_some_and(|peer| peer.kind == peer::POD)
}

#[inline(always)]
fn is_gone(address: &Address, endpoint: u32, remote_pod: u8) -> bool {
    if endpoint != 0 {
        return endpoint::local(address).is_none_or(|own| own.index != endpoint);
    }
    remote_pod != 0 && !is_pod(address)
}
