//! Counters that several CPUs write at once.

/// Atomic, and one instruction on every kernel: whoever asked for the sum would need Linux 5.12.
///
/// # Safety
/// `counter` points to an aligned word of a map.
#[inline(always)]
pub unsafe fn add(counter: *mut u64, summand: u64) {
    // SAFETY: the caller's.
    #[cfg(target_arch = "bpf")]
    unsafe {
        use core::intrinsics::{AtomicOrdering, atomic_xadd};
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, summand);
    }
    // SAFETY: as above.
    #[cfg(not(target_arch = "bpf"))]
    unsafe {
        use core::sync::atomic::{AtomicU64, Ordering};
        AtomicU64::from_ptr(counter).fetch_add(summand, Ordering::Relaxed);
    }
}

/// As [`add`], of half a word.
///
/// # Safety
/// As [`add`].
#[inline(always)]
pub unsafe fn add32(counter: *mut u32, summand: u32) {
    // SAFETY: the caller's.
    #[cfg(target_arch = "bpf")]
    unsafe {
        use core::intrinsics::{AtomicOrdering, atomic_xadd};
        atomic_xadd::<u32, u32, { AtomicOrdering::Relaxed }>(counter, summand);
    }
    // SAFETY: as above.
    #[cfg(not(target_arch = "bpf"))]
    unsafe {
        use core::sync::atomic::{AtomicU32, Ordering};
        AtomicU32::from_ptr(counter).fetch_add(summand, Ordering::Relaxed);
    }
}
