//! How much is tried.

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything.
    Whole,
    /// Without what the agent's start does next anyway: the programs are not loaded twice.
    BeforeStart,
}
