//! Steps that wait to be carried out.

use std::collections::VecDeque;

/// Steps in the order in which they have to be carried out: no step may overtake one that was refused.
#[derive(Debug)]
pub struct Queue<S>(VecDeque<S>);

impl<S> Default for Queue<S> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<S> Queue<S> {
    /// Adds steps behind those that wait.
    pub fn push(&mut self, steps: impl IntoIterator<Item = S>) {
        self.0.extend(steps);
    }

    /// Whether all that was asked for is in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Carries out what waits, in order. A step that fails stays the first.
    ///
    /// # Errors
    /// That of the first step that fails.
    pub fn drain<E>(&mut self, mut apply: impl FnMut(&S) -> Result<(), E>) -> Result<(), E> {
        while let Some(step) = self.0.front() {
            apply(step)?;
            self.0.pop_front();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overtakes_a_step_that_was_refused() {
        let (mut queue, mut done) = (Queue::default(), Vec::new());
        queue.push([1, 2, 3]);
        let refused = queue.drain(|step| {
            if *step == 2 {
                return Err("full");
            }
            done.push(*step);
            Ok(())
        });
        assert_eq!((refused, &done[..]), (Err("full"), &[1][..]));
        queue.push([4]);
        let drained: Result<(), ()> = queue.drain(|step| {
            done.push(*step);
            Ok(())
        });
        assert_eq!(drained, Ok(()));
        assert!(queue.is_empty());
        assert_eq!(done, [1, 2, 3, 4]);
    }
}
