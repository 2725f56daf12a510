//! What was said of which issue, and when: what is new or stands for long is said, and what comes back is counted.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use ferrule_model::objects::Identity;
use ferrule_source::issue::Issue;

/// How often what still stands is said again: Events are forgotten after an hour.
pub(super) const AGAIN: Duration = Duration::from_secs(1_800);
/// For how long kube's `Recorder` counts what is said again.
const SERIES: Duration = Duration::from_secs(360);
/// As many Events an object may have for one reason within that time; numbers in the words may change all the time.
const EACH: usize = 10;

/// What was said, with what counts it when it is said again. (A `Recorder` looks at the object and the reason alone: one for
/// all would count an issue on an Event with another's words.)
#[derive(Debug)]
pub(super) struct Told<R>(HashMap<Issue, Said<R>>);

#[derive(Debug)]
struct Said<R> {
    /// When it was said last, or left to others.
    at: Instant,
    /// Whether the issue has stood since.
    stands: bool,
    /// None where others speak of it, or where another's Event counts it.
    recorder: Option<R>,
}

/// What counts an issue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Series<R> {
    /// What has counted it before.
    Own(R),
    /// What counts another issue of the object, with the same reason: there are enough.
    Another(R),
    /// Nothing yet.
    New,
}

impl<R> Default for Told<R> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<R: Clone> Told<R> {
    /// Takes in which issues stand now. What has gone is kept for as long as it would be counted.
    pub(super) fn look(&mut self, issues: &[Issue], now: Instant) {
        let issues: HashSet<&Issue> = issues.iter().collect();
        self.0.retain(|issue, said| {
            said.stands &= issues.contains(issue);
            said.stands || said.counts(now)
        });
    }

    /// Whether a standing issue is to be said, perhaps again.
    pub(super) fn is_due(&self, issue: &Issue, now: Instant) -> bool {
        self.0.get(issue).is_none_or(|said| !said.stands || now.saturating_duration_since(said.at) > AGAIN)
    }

    /// What counts an issue about this object.
    pub(super) fn series(&self, object: &Identity, issue: &Issue, now: Instant) -> Series<R> {
        if let Some(recorder) = self.0.get(issue).and_then(|said| said.recorder.clone()) {
            return Series::Own(recorder);
        }
        let alike = |other: &Issue| other.reason() == issue.reason() && other.object().as_ref() == Some(object);
        let alike = self.0.iter().filter(|(other, said)| said.counts(now) && alike(other));
        let alike: Vec<&Said<R>> = alike.map(|(_, said)| said).collect();
        let latest = alike.iter().max_by_key(|said| said.at).filter(|_| alike.len() >= EACH);
        latest.and_then(|said| said.recorder.clone()).map_or(Series::New, Series::Another)
    }

    /// It was said, and will be counted by this; or it was left to others.
    pub(super) fn insert(&mut self, issue: Issue, recorder: Option<R>, now: Instant) {
        self.0.insert(issue, Said { at: now, stands: true, recorder });
    }
}

impl<R> Said<R> {
    fn counts(&self, now: Instant) -> bool {
        self.recorder.is_some() && now.saturating_duration_since(self.at) < SERIES
    }
}

#[cfg(test)]
mod tests {
    use ferrule_model::{
        objects::{Kind, ObjectName},
        service,
    };

    use super::*;

    fn sctp(port: u16) -> Issue {
        let reason = service::Reason::Sctp { port };
        Issue::Services(service::Issue { service: ObjectName::new("x", "y"), reason })
    }

    fn many(backends: usize) -> Issue {
        let reason = service::Reason::Many { backends, capacity: 1 };
        Issue::Services(service::Issue { service: ObjectName::new("x", "y"), reason })
    }

    fn object() -> Identity {
        Identity::new(Kind::Service, &ObjectName::new("x", "y"))
    }

    /// What counts an issue, once it was looked at what stands.
    fn look(told: &mut Told<u16>, stand: &[Issue], issue: &Issue, now: Instant) -> Option<Series<u16>> {
        told.look(stand, now);
        told.is_due(issue, now).then(|| told.series(&object(), issue, now))
    }

    #[test]
    fn each_issue_is_said_once_and_again_while_it_stands() {
        let (mut told, start) = (Told::default(), Instant::now());
        let stand = [sctp(1), sctp(2)];
        for (issue, number) in stand.iter().zip([1, 2]) {
            assert_eq!(look(&mut told, &stand, issue, start), Some(Series::New), "{issue}");
            told.insert(issue.clone(), Some(number), start);
        }
        assert_eq!(look(&mut told, &stand, &stand[1], start + AGAIN), None);
        // A recorder forgets by itself: what counts it then makes a new Event.
        let later = start + AGAIN + Duration::from_secs(1);
        assert_eq!(look(&mut told, &stand, &stand[1], later), Some(Series::Own(2)));
    }

    #[test]
    fn what_comes_back_soon_is_counted_by_its_own() {
        let (mut told, start) = (Told::default(), Instant::now());
        told.insert(sctp(1), Some(1), start);
        told.insert(sctp(2), Some(2), start);
        let soon = start + SERIES - Duration::from_secs(1);
        told.look(&[], soon);
        assert_eq!(look(&mut told, &[sctp(1)], &sctp(1), soon), Some(Series::Own(1)));
        told.insert(sctp(1), Some(1), soon);
        told.look(&[], start + SERIES);
        assert_eq!(look(&mut told, &[sctp(2)], &sctp(2), start + SERIES), Some(Series::New));
        assert_eq!(look(&mut told, &[sctp(1)], &sctp(1), start + SERIES), Some(Series::Own(1)), "said since");
        told.look(&[], start + SERIES * 3);
        assert!(told.0.is_empty(), "{told:?}");
    }

    #[test]
    fn what_was_left_to_others_is_no_series() {
        let (mut told, start) = (Told::default(), Instant::now());
        told.insert(sctp(1), None, start);
        assert_eq!(look(&mut told, &[sctp(1)], &sctp(1), start), None);
        told.look(&[], start);
        assert_eq!(look(&mut told, &[sctp(1)], &sctp(1), start), Some(Series::New));
    }

    #[test]
    fn numbers_that_change_all_the_time_do_not_become_an_event_each() {
        let (mut told, mut now) = (Told::default(), Instant::now());
        let mut new = 0;
        for backends in 0..360 {
            let issue = many(backends);
            let recorder = match look(&mut told, std::slice::from_ref(&issue), &issue, now).expect("it is new") {
                Series::New => Some(u16::try_from(backends).unwrap()),
                Series::Another(_) => None,
                Series::Own(_) => panic!("{issue}"),
            };
            new += usize::from(recorder.is_some());
            told.insert(issue, recorder, now);
            now += Duration::from_secs(1);
        }
        assert_eq!(new, EACH);
        assert!(told.0.len() <= EACH + 1, "{told:?}");
        // Other trouble of the object is none of theirs.
        assert_eq!(look(&mut told, &[sctp(1)], &sctp(1), now), Some(Series::New));
    }
}
