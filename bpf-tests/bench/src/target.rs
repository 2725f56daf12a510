//! What figures should be.

use std::fmt;

use Target::{RatioAtLeast, RatioAtMost, ValueAtMost};
use serde::{Serialize, Serializer};

/// A bound that the median has to keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Of the ratio.
    RatioAtLeast(f64),
    /// Of the ratio.
    RatioAtMost(f64),
    /// Of the value, in the row's unit.
    ValueAtMost(f64),
}

impl Target {
    /// The bound of the ratio, where it is one.
    pub const fn ratio(self) -> Option<f64> {
        match self {
            RatioAtLeast(bound) | RatioAtMost(bound) => Some(bound),
            ValueAtMost(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RatioAtLeast(bound) => write!(f, "ratio ≥ {bound}"),
            RatioAtMost(bound) => write!(f, "ratio ≤ {bound}"),
            ValueAtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
