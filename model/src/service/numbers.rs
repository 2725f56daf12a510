//! Numbers of sets: never one that is in use, and not soon one that was.

use std::collections::HashSet;

/// Gives numbers from 1 to a highest one.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    last: u32,
    highest: u32,
    used: HashSet<u32>,
}

impl Numbers {
    pub(super) fn new(highest: u32, used: impl IntoIterator<Item = u32>) -> Self {
        let used: HashSet<u32> = used.into_iter().collect();
        // Behind all that a former agent gave.
        let last = used.iter().copied().max().unwrap_or_default();
        Self { last, highest, used }
    }

    /// A number that nothing uses; none if all are in use.
    pub(super) fn take(&mut self) -> Option<u32> {
        if self.used.len() >= self.highest as usize {
            return None;
        }
        loop {
            self.last = if self.last >= self.highest { 1 } else { self.last + 1 };
            if self.used.insert(self.last) {
                return Some(self.last);
            }
        }
    }

    pub(super) fn release(&mut self, number: u32) {
        self.used.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_use_is_not_given_again() {
        let mut numbers = Numbers::new(3, [2]);
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [Some(3), Some(1), None]);
        numbers.release(3);
        assert_eq!(numbers.take(), Some(3));
    }
}
