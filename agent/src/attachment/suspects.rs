//! Reservations that look abandoned, and since when: an ADD that goes on looks the same until it makes its link.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use ferrule_api::plugin::AttachmentId;

/// How long an ADD may take from its reservation to its link, on a node with much to do.
const ADDING: Duration = Duration::from_secs(5);

/// Those of the last look, with the time of the first look that found them so.
#[derive(Debug, Default)]
pub(super) struct Suspects(HashMap<AttachmentId, Instant>);

impl Suspects {
    /// Takes what looks abandoned at a moment; whether each has done so for long enough, in the same order.
    pub(super) fn look(&mut self, ids: &[&AttachmentId], now: Instant) -> Vec<bool> {
        self.0.retain(|known, _| ids.contains(&known));
        ids.iter().map(|id| now.duration_since(*self.0.entry((*id).clone()).or_insert(now)) >= ADDING).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(container: &str) -> AttachmentId {
        AttachmentId { container_id: container.into(), ifname: "eth0".into() }
    }

    #[test]
    fn a_reservation_is_abandoned_when_it_has_looked_so_for_a_while() {
        let (mut suspects, began) = (Suspects::default(), Instant::now());
        let (one, other) = (id("one"), id("other"));
        assert_eq!(suspects.look(&[&one], began), [false], "its ADD may go on");
        assert_eq!(suspects.look(&[&one, &other], began + Duration::from_secs(4)), [false, false]);
        assert_eq!(suspects.look(&[&one, &other], began + Duration::from_secs(5)), [true, false]);
    }

    #[test]
    fn one_that_was_alive_meanwhile_begins_anew() {
        let (mut suspects, began) = (Suspects::default(), Instant::now());
        let one = id("one");
        suspects.look(&[&one], began);
        suspects.look(&[], began + Duration::from_secs(3));
        assert_eq!(suspects.look(&[&one], began + Duration::from_secs(9)), [false]);
    }
}
