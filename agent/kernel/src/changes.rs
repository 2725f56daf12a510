//! What happened since the reconciler looked last, so that it looks at that and at nothing else.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// A part of what the reconciler keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// Leases came or went.
    Leases = 1,
    /// Devices that are no pod's, their addresses, others' routes: the ways to other nodes.
    Underlay = 2,
    /// Routes of ours to other nodes' pods went.
    Routes = 4,
    /// Links of pods changed, or routes to pods went.
    Pods = 8,
    /// The maps of other nodes and their pods.
    Maps = 16,
    /// Programs on devices that are no pod's may have gone.
    Devices = 32,
}

/// A set of [`Part`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts(u8);

impl Parts {
    /// All that is looked at every ten seconds; maps have a pace of their own.
    pub const ALL: Self = Self(0x2f);
    /// Everything, now.
    pub const EVERYTHING: Self = Self(0x3f);

    /// Whether a part is in the set.
    #[must_use]
    pub const fn has(self, part: Part) -> bool {
        self.0 & part as u8 != 0
    }

    /// Whether it holds all that is looked at every ten seconds.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.0 & Self::ALL.0 == Self::ALL.0
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Gathers what many tell, for one who asks.
#[derive(Debug, Default)]
pub struct Changes {
    parts: AtomicU8,
    told: Notify,
}

impl Changes {
    /// A part changed.
    pub fn tell(&self, part: Part) {
        self.parts.fetch_or(part as u8, Ordering::AcqRel);
        self.told.notify_one();
    }

    /// Everything is to be looked at.
    pub fn tell_everything(&self) {
        self.parts.fetch_or(Parts::EVERYTHING.0, Ordering::AcqRel);
        self.told.notify_one();
    }

    /// Waits until something changed that was not taken.
    pub async fn told(&self) {
        while self.parts.load(Ordering::Acquire) == 0 {
            self.told.notified().await;
        }
    }

    /// What changed since this was asked last.
    #[must_use]
    pub fn take(&self) -> Parts {
        Parts(self.parts.swap(0, Ordering::AcqRel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_told_is_taken_once() {
        let changes = Changes::default();
        changes.tell(Part::Routes);
        changes.tell(Part::Pods);
        changes.told().await;
        let parts = changes.take();
        assert!(parts.has(Part::Routes) && parts.has(Part::Pods) && !parts.has(Part::Leases));
        assert!(parts.and(Parts::ALL) == Parts::ALL && Parts::default().and(parts) == parts);
        assert_eq!(changes.take(), Parts::default());
        tokio::select! {
            () = changes.told() => panic!("nothing was told"),
            () = tokio::time::sleep(std::time::Duration::from_millis(10)) => {}
        }
    }
}
