//! What the handlers answer from.

use std::sync::{Arc, Mutex};

use ferrule_kernel::bpf::Metrics;
use ferrule_source::kubernetes::Health;

use super::{Listening, Recent, Times};
use crate::{controllers::Controllers, monitor::Monitor};

/// The controllers, and what handlers keep for themselves.
pub struct App {
    /// The controllers.
    pub controllers: Arc<Controllers>,
    /// How it stands with the API server, where that is the source.
    pub server: Option<Arc<Health>>,
    /// The programs' counters.
    pub metrics: Mutex<Metrics>,
    /// What `/metrics` told anybody last.
    pub recent: Recent,
    /// The addresses of `listen`.
    pub listening: Listening,
    /// What programs tell of single packets.
    pub monitor: Arc<Monitor>,
    /// How long the plugin's calls take.
    pub times: Times,
    /// Maps were taken over from a former agent: what they hold is in force before the first reconciliation.
    pub adopted: bool,
}
