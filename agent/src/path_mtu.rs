//! Tells when a router says that a packet to another node was too large: no event of the kernel does, and until the
//! agent asks for the path anew, what is too large for it goes nowhere.

use std::{sync::Arc, time::Duration};

use ferrule_common::{Outcome, Program};
use ferrule_kernel::{
    bpf::{Metrics, Pins},
    changes::{Changes, Part},
};

/// How often the counter is read.
const PERIOD: Duration = Duration::from_millis(250);

/// Watches the counter of such errors for as long as the agent lives.
pub async fn watch(pins: Pins, changes: Arc<Changes>) {
    let metrics = match Metrics::pinned(&pins) {
        Ok(metrics) => metrics,
        Err(error) => return tracing::error!(%error, "errors about paths' MTUs are not seen"),
    };
    let errors = || metrics.get(Program::FromNetdev, Outcome::PathMtu as u32).map(|counter| counter.packets).ok();
    let mut seen = errors();
    loop {
        tokio::time::sleep(PERIOD).await;
        let now = errors();
        if now != seen {
            changes.tell(Part::Underlay);
            seen = now;
        }
    }
}
