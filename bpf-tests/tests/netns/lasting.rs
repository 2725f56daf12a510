//! Traffic that goes on while something is changed, and what became of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Result, ensure};
use test_kit::{
    topology::{Netns, Pod, patience, until},
    traffic::{Echo, Flow, Ping},
};

/// A connection whose exchange takes longer is broken. Two agents that start one after the other take some seconds.
const LIMIT: Duration = Duration::from_secs(10);

/// Pings and flows from one pod to others, by every family that they have.
pub struct Lasting {
    stop: Arc<AtomicBool>,
    pings: Vec<JoinHandle<Result<(u32, u32)>>>,
    flows: Vec<Flow>,
    _servers: Vec<Echo>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Pings without an answer, of all that were sent.
    pub lost: (u32, u32),
    /// The longest time that an exchange on a connection took.
    pub longest: Duration,
}

impl Lasting {
    /// Begins, once each target was reached.
    pub fn start(from: &Pod, to: &[&Pod]) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let servers = to.iter().map(|pod| Echo::start(&pod.netns, &pod.addresses)).collect::<Result<_>>()?;
        let (mut pings, mut flows) = (Vec::new(), Vec::new());
        for address in to.iter().flat_map(|pod| &pod.addresses) {
            let ping = Ping::to(*address);
            // What neighbour discovery on the underlay costs the first packets is nobody's doing.
            let what = format!("{address} is reached before anything is changed");
            until(&what, || ping.once(&from.netns), Result::is_ok)?.map(drop)?;
            flows.push(Flow::start_within(&from.netns, *address, LIMIT)?);
            let (ends, netns) = (Arc::clone(&stop), Netns::known(from.netns.name()));
            pings.push(thread::spawn(move || again_and_again(&ping, &netns, &ends)));
        }
        Ok(Self { stop, pings, flows, _servers: servers })
    }

    /// Ends it.
    ///
    /// # Errors
    /// A flow that broke.
    pub fn end(self) -> Result<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        let mut lost = (0, 0);
        for ping in self.pings {
            let (sent, answered) = ping.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            lost = (lost.0 + sent - answered, lost.1 + sent);
        }
        let longest = self.flows.into_iter().map(Flow::end).collect::<Result<Vec<_>>>()?;
        Ok(Outcome { lost, longest: longest.into_iter().max().unwrap_or_default() })
    }

    /// Ends it; nothing was lost, and no flow stood still.
    pub fn ends_undisturbed(self) -> Result<()> {
        let outcome = self.end()?;
        eprintln!("{outcome:?}");
        ensure!(outcome.lost.0 == 0 && outcome.lost.1 > 0, "{} of {} pings were lost", outcome.lost.0, outcome.lost.1);
        ensure!(outcome.longest < patience(Duration::from_millis(500)), "a flow stood still for {:?}", outcome.longest);
        Ok(())
    }
}

/// Half a second's pings after the other.
fn again_and_again(ping: &Ping, from: &Netns, stop: &AtomicBool) -> Result<(u32, u32)> {
    let mut sum = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let (sent, answered) = ping.many(from, 100)?.end()?;
        sum = (sum.0 + sent, sum.1 + answered);
    }
    Ok(sum)
}
