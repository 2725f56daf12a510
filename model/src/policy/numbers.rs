//! Numbers that are given out, and rest for a round before they are given out again: a program on its way may still
//! name one that was given back.

use std::collections::BTreeSet;

/// The numbers of one kind.
#[derive(Debug)]
pub(super) struct Numbers {
    next: u32,
    last: u32,
    free: BTreeSet<u32>,
    resting: Vec<(u64, u32)>,
    taken: BTreeSet<u32>,
}

impl Numbers {
    /// From `first` to `last`, without those that somebody else has.
    pub(super) fn new(first: u32, last: u32, taken: BTreeSet<u32>) -> Self {
        Self { next: first, last, free: BTreeSet::new(), resting: Vec::new(), taken }
    }

    /// The lowest that is free.
    pub(super) fn take(&mut self) -> Option<u32> {
        if let Some(number) = self.free.pop_first() {
            return Some(number);
        }
        while self.taken.contains(&self.next) {
            self.next = self.next.saturating_add(1);
        }
        let number = (self.next <= self.last).then_some(self.next)?;
        self.next = self.next.saturating_add(1);
        Some(number)
    }

    /// One that nothing named yet.
    pub(super) fn put_back(&mut self, number: u32) {
        self.free.insert(number);
    }

    /// One that was named until now; it rests.
    pub(super) fn rest(&mut self, number: u32, round: u64) {
        self.resting.push((round, number));
    }

    /// Frees what has rested since an earlier round; whether there was any.
    pub(super) fn wake(&mut self, round: u64) -> bool {
        let before = self.free.len();
        let rested = self.resting.extract_if(.., |(since, _)| *since < round);
        self.free.extend(rested.map(|(_, number)| number));
        self.free.len() > before
    }

    /// What somebody else had is free now.
    pub(super) fn release(&mut self, numbers: &BTreeSet<u32>) {
        for number in numbers {
            if self.taken.remove(number) && *number < self.next {
                self.free.insert(*number);
            }
        }
    }

    /// Whether some number rests.
    pub(super) fn is_settled(&self) -> bool {
        self.resting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_rests_for_a_round_before_it_is_used_again() {
        let mut numbers = Numbers::new(1, 3, BTreeSet::from([2]));
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [Some(1), Some(3), None]);
        numbers.rest(1, 7);
        numbers.wake(7);
        assert_eq!(numbers.take(), None);
        numbers.wake(8);
        assert_eq!([numbers.take(), numbers.take()], [Some(1), None]);
    }

    #[test]
    fn what_others_had_is_used_once_they_have_gone() {
        let mut numbers = Numbers::new(1, 2, BTreeSet::from([1, 2]));
        assert_eq!(numbers.take(), None);
        numbers.release(&BTreeSet::from([2]));
        assert_eq!([numbers.take(), numbers.take()], [Some(2), None]);
    }
}
