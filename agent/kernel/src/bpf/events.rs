//! `fr_events`: what programs tell of single packets.

use aya::maps::{Array, Map, MapData, MapError, RingBuf};
use ferrule_common::event::{Event, Watch};

use super::error::LoadError;

/// The ring of events, and what is asked for.
pub struct Events {
    /// The ring; one reader.
    pub ring: RingBuf<MapData>,
    watch: Array<MapData, Watch>,
}

impl Events {
    pub(super) fn new(ring: Map, watch: Map) -> Result<Self, LoadError> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| LoadError::Map { name, source }
        };
        Ok(Self {
            ring: ring.try_into().map_err(failed("fr_events"))?,
            watch: watch.try_into().map_err(failed("fr_watch"))?,
        })
    }

    /// Whether programs shall tell of new flows that may pass.
    ///
    /// # Errors
    /// The kernel's.
    pub fn tell_allowed(&mut self, wanted: bool) -> Result<(), MapError> {
        self.watch.set(0, Watch { allowed: wanted.into() }, 0)
    }

    /// The next event that is there.
    pub fn take(&mut self) -> Option<Event> {
        let item = self.ring.next()?;
        if item.len() < size_of::<Event>() {
            return None;
        }
        // SAFETY: as many bytes as the type has, all of which are integers; alignment is not asked for.
        Some(unsafe { item.as_ptr().cast::<Event>().read_unaligned() })
    }
}
