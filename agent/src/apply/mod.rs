//! What policies and Services have in common: an engine of the model that one task owns, and whose steps go to maps.
//!
//! ```text
//!            others ask for a turn, and await it
//!                          ▼
//! store ─▶ the owner's turn ─▶ engine ─▶ steps ─▶ queue ─▶ maps
//!                          │                        └─ what the kernel refused waits, with all that follows it
//!                          └─▶ upkeep, at its pace: what was superseded is removed, what somebody else changed is mended
//! ```
//!
//! **Invariant:** only the owner reads a snapshot into its engine. Who needs to know that one is in force awaits a turn.

mod pace;
mod queue;
mod turns;

use std::time::Duration;

pub use pace::Pace;
pub use queue::Queue;
pub use turns::Turns;

/// What a program on its way may still read is not removed before this.
pub const GRACE: Duration = Duration::from_secs(2);
/// How soon the owner tries again what the kernel refused.
pub const AGAIN: Duration = Duration::from_secs(1);
/// How often maps are compared with what was written.
pub const COMPARE: Duration = Duration::from_secs(15);
