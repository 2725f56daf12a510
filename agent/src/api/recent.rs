//! What was told a moment ago, for whoever asks again.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What was told to anybody last: whoever may ask costs no more than a look a second.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Option<(Instant, String)>>);

impl Recent {
    /// What `look` says, or said within that time.
    pub(super) fn get<E>(&self, fresh: Duration, look: impl FnOnce() -> Result<String, E>) -> Result<String, E> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = last.as_ref().filter(|(at, _)| at.elapsed() < fresh) {
            return Ok(text.clone());
        }
        let text = look()?;
        *last = Some((Instant::now(), text.clone()));
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_lately_is_told_again() {
        let recent = Recent::default();
        let get = |fresh, text: &str| recent.get::<()>(fresh, || Ok(text.to_owned())).unwrap();
        assert_eq!(get(Duration::from_secs(60), "a"), "a");
        assert_eq!(get(Duration::from_secs(60), "b"), "a");
        assert_eq!(get(Duration::ZERO, "c"), "c");
        assert_eq!(recent.get(Duration::ZERO, || Err("no")), Err("no"), "an error is not kept");
        assert_eq!(get(Duration::from_secs(60), "d"), "c");
    }
}
