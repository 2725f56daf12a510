//! How long each part of a run took, told at its end: what grows is seen before it hurts.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What is not worth a line.
const BRIEF: Duration = Duration::from_secs(2);

static PARTS: Mutex<Vec<(String, Duration)>> = Mutex::new(Vec::new());

/// Notes a part that is over.
pub fn note(label: &str, took: Duration) {
    if took >= BRIEF {
        PARTS.lock().unwrap_or_else(PoisonError::into_inner).push((label.to_owned(), took));
    }
}

/// Prints what was noted, in the order in which it ended.
pub fn print() {
    let parts = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
    if !parts.is_empty() {
        println!("\ntook");
    }
    for (label, took) in parts.iter() {
        println!("{:>6.0} s  {label}", took.as_secs_f64());
    }
}
