//! How much memory one object may take while it is read. serde has no place for such a number, hence one of the thread.

use std::cell::Cell;

use serde::{Deserialize, de::Error};

use super::error::{FieldError, TOO_LARGE};

/// What a value takes at most, about and in bytes: one of its own, and an object.
pub(super) const VALUE: usize = 48;
pub(super) const OBJECT: usize = 640;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

/// Reads JSON that may take `most` bytes.
pub(super) fn read<'de, T: Deserialize<'de>>(json: &'de str, most: usize) -> Result<T, FieldError> {
    LEFT.set(most);
    // To follow the fields costs a string for each, and nearly all objects are good.
    serde_json::from_str(json).or_else(|_| {
        LEFT.set(most);
        Ok(serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json))?)
    })
}

/// Takes so many bytes of it.
pub(super) fn take<E: Error>(bytes: usize) -> Result<(), E> {
    let left = LEFT.get().checked_sub(bytes).ok_or_else(|| E::custom(TOO_LARGE))?;
    LEFT.set(left);
    Ok(())
}
