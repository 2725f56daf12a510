//! Sets that nothing names any more and that are still in the maps, and whose they were.

use std::{collections::HashMap, sync::Arc};

use super::{SetOf, room::Used};

#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Sets by number, of this engine's own.
    whose: HashMap<u32, Arc<str>>,
    by_namespace: HashMap<Arc<str>, Used>,
    /// How many there are, those that another engine wrote included.
    count: usize,
}

impl Leaving {
    /// So many are there that another engine wrote.
    pub fn new(count: usize) -> Self {
        Self { count, ..Self::default() }
    }

    /// A set is written for a namespace.
    pub fn begins(&mut self, set: u32, namespace: &Arc<str>) {
        self.whose.insert(set, Arc::clone(namespace));
    }

    /// Nothing names it any more.
    pub fn leaves(&mut self, set: &SetOf) {
        self.count += 1;
        if let Some(namespace) = self.whose.get(&set.set) {
            self.by_namespace.entry(Arc::clone(namespace)).or_default().add(set);
        }
    }

    /// It is out of the maps.
    pub fn gone(&mut self, set: &SetOf) {
        self.count = self.count.saturating_sub(1);
        let Some(namespace) = self.whose.remove(&set.set) else { return };
        let Some(used) = self.by_namespace.get_mut(&namespace) else { return };
        used.subtract(set);
        if used.backends == 0 {
            self.by_namespace.remove(&namespace);
        }
    }

    /// How much of a namespace's is about to go.
    pub fn of(&self, namespace: &Arc<str>) -> Used {
        self.by_namespace.get(namespace).copied().unwrap_or_default()
    }

    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}
