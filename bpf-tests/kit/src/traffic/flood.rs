//! Frames as fast as one CPU sends them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};

use super::{frame::Packets, load::pin};
use crate::topology::Netns;

/// A thread that sends frames, one after the other and from the first again, until it is ended.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<Result<()>>,
}

impl Flood {
    /// Begins, on a device of a namespace and on one CPU.
    ///
    /// # Errors
    /// Where the device cannot be sent on.
    pub fn start(netns: &Netns, device: &str, frames: Vec<Vec<u8>>, cpu: usize) -> Result<Self> {
        let packets = netns.enter(|| Packets::on(device))?.with_context(|| format!("{device} of {}", netns.name()))?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ended, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            pin(cpu)?;
            while !ended.load(Ordering::Relaxed) {
                // Some are refused by the kernel before they are sent, or while its queue is full.
                let passed = frames.iter().filter(|frame| packets.send(frame).is_ok()).count();
                count.fetch_add(passed as u64, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Self { stop, sent, thread })
    }

    /// How many frames the kernel took so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it; how many frames the kernel took.
    ///
    /// # Errors
    /// Where the CPU is not there.
    pub fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(self.sent.load(Ordering::Relaxed))
    }
}
