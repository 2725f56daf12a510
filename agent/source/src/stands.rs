//! What is in force of an object with a bad value: the same whatever the source.

/// What is in force of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// Its last good state.
    Known,
    /// What closes all that it may: see [`Refused::stand_in`](super::decode::Refused::stand_in).
    Closed,
    /// It was never good, and nothing else would be safer.
    Nothing,
}

impl Stands {
    /// How a [`Note`](super::Note) ends.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Known => "its last good state stands",
            Self::Closed => "the pods that it may select are isolated, and it lets nobody in or out",
            Self::Nothing => "it is not used",
        }
    }
}
