//! The addresses that `listen` names: which of them cannot be listened on, and whom they closed.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

/// How it stands with each address.
#[derive(Debug, Default)]
pub struct Listening {
    problems: Mutex<BTreeMap<SocketAddr, String>>,
    /// Connections that were closed, since their client had too many or took too long.
    pub closed: Arc<AtomicU64>,
}

impl Listening {
    /// What is wrong with an address; none: nothing. Said in the log where that is new.
    pub(super) fn tell(&self, address: SocketAddr, problem: Option<String>) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let before = problems.remove(&address);
        match problem {
            Some(problem) => {
                if before.as_ref() != Some(&problem) {
                    tracing::error!("{problem}; the rest goes on, and it is tried again");
                }
                problems.insert(address, problem);
            }
            None if before.is_some() => tracing::info!(%address, "is listened on now"),
            None => {}
        }
    }

    /// A sentence for each address that cannot be listened on.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
