//! Panics as values, with their words and place, and without a line on the terminal for each.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, PoisonError},
};

/// While it lives, panics of this process are not printed.
#[derive(Debug)]
pub struct Caught {
    words: Arc<Mutex<String>>,
}

impl Caught {
    /// From now on.
    pub fn begin() -> Self {
        let words = Arc::new(Mutex::new(String::new()));
        let last = Arc::clone(&words);
        panic::set_hook(Box::new(move |info| {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
        }));
        Self { words }
    }

    /// The result, or the panic's words.
    pub fn call<T>(&self, function: impl FnOnce() -> T) -> Result<T, String> {
        panic::catch_unwind(AssertUnwindSafe(function))
            .map_err(|_| self.words.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Panics are printed again.
    pub fn end(&self) {
        drop(panic::take_hook());
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        // A panic on its way has printed already, and the hook cannot be changed meanwhile.
        if !std::thread::panicking() {
            self.end();
        }
    }
}
