//! Which nodes find an issue: who speaks of it depends on that.

/// Which nodes find an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundBy {
    /// Every node that has to do with it, the object's own among them.
    All,
    /// Every node but the one that the pod is on.
    Others,
    /// Each by itself: it is a matter of the node that looks, and another may have another way.
    Each,
}
