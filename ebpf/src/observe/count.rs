//! The one door by which every packet leaves a program: counted, with the outcome or the reason of its drop.

use aya_ebpf::{bindings::TC_ACT_SHOT, programs::TcContext};
use ferrule_common::{Drop, Outcome, Program, metric};

use crate::{maps::METRICS, observe::event};

/// A packet that goes on: what it is counted as, and what the kernel does with it.
pub struct Passed {
    pub outcome: Outcome,
    pub action: i32,
}

/// Counts the decision and turns it into the program's return value.
#[inline(always)]
pub fn finish(ctx: &TcContext, program: Program, decision: Result<Passed, Drop>) -> i32 {
    let (number, action) = match decision {
        Ok(passed) => (passed.outcome as u32, passed.action),
        Err(reason) => {
            log(ctx, program, reason);
            event::fr_dropped(ctx.skb.skb, program as u32, reason as u32);
            (reason as u32, TC_ACT_SHOT)
        }
    };
    if let Some(counter) = METRICS.get_ptr_mut(metric::index(program, number)) {
        // SAFETY: the slot is this CPU's own, and a classifier is not interrupted by another run of itself on one CPU;
        // no reference to it outlives this block.
        unsafe {
            (*counter).packets += 1;
            (*counter).bytes += u64::from(ctx.len());
        }
    }
    action
}

#[cfg(feature = "log")]
fn log(ctx: &TcContext, program: Program, reason: Drop) {
    aya_log_ebpf::debug!(ctx, "program {} dropped {} bytes: reason {}", program as u32, ctx.len(), reason as u32);
}

#[cfg(not(feature = "log"))]
#[inline(always)]
fn log(_: &TcContext, _: Program, _: Drop) {}
