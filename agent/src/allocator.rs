//! What glibc's allocator is told, so that the agent holds the memory that it uses.

/// Has all threads share two heaps: by default each of many CPUs gets several, which keep what others could use. And no
/// list of small chunks beside each thread's own: every large allocation would stop to put those together.
pub fn share_heaps() {
    // SAFETY: takes two integers; called before there are other threads.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// What was read and compared for many objects is free now, and of no use to this process: the allocator would keep it.
pub fn give_back() {
    // SAFETY: takes an integer and touches nothing but the allocator's free lists.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
