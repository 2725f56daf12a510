//! Threads that the machine's other work does not disturb.

use std::{
    hint, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Keeps the calling thread on a CPU, in real-time order (`SCHED_FIFO`).
///
/// # Errors
/// Where the kernel refuses.
pub fn steady(cpu: usize) -> Result<()> {
    pin(cpu)?;
    order(libc::SCHED_FIFO, 1).context("SCHED_FIFO is refused; measuring needs CAP_SYS_NICE")
}

/// Puts the calling thread, and the threads and processes that it starts from now on, before all ordinary ones (nice
/// -20).
///
/// # Errors
/// Where the kernel refuses.
pub fn prefer() -> Result<()> {
    nice(-20).context("nice -20 is refused; measuring needs CAP_SYS_NICE")
}

/// Puts the calling thread, and the threads and processes that it starts from now on, among ordinary ones again (nice 0).
///
/// # Errors
/// Where the kernel refuses.
pub fn ordinary() -> Result<()> {
    nice(0).context("nice 0 is refused")
}

fn nice(value: i32) -> io::Result<()> {
    // SAFETY: no memory is passed; 0 is the calling thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// One thread a CPU that keeps it awake while nobody else wants it (`SCHED_IDLE`); they end when this is dropped.
#[derive(Debug)]
pub struct Spinners {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Spinners {
    /// Starts them on the CPUs from 0 to below `cpus`.
    #[must_use]
    pub fn start(cpus: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = |cpu| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || spin(cpu, &stop))
        };
        Self { threads: (0..cpus).map(thread).collect(), stop }
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A spinner that panicked has printed why.
            let _ = thread.join();
        }
    }
}

fn spin(cpu: usize, stop: &AtomicBool) {
    // In another order it would be a load of its own.
    if let Err(error) = pin(cpu).and_then(|()| order(libc::SCHED_IDLE, 0).context("SCHED_IDLE is refused")) {
        eprintln!("CPU {cpu} may sleep between packets: {error:#}");
        return;
    }
    while !stop.load(Ordering::Relaxed) {
        hint::spin_loop();
    }
}

/// Keeps the calling thread on a CPU.
///
/// # Errors
/// Where there is no such CPU.
pub fn pin(cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &cpus).with_context(|| format!("CPU {cpu} cannot be had"))
}

/// Sets the calling thread's scheduling policy.
fn order(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is to a live struct of the type that the call reads; 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
