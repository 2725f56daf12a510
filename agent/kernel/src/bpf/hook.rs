//! The hooks of a device, and the place of our filters on those of pods' links.

use aya::programs::TcAttachType;

/// The priority of our clsact filters.
pub const PRIORITY: u16 = 1;
/// The minor handle of our clsact filters.
pub const HANDLE: u16 = 1;

/// A device's hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// What the device receives.
    Ingress,
    /// What the device sends.
    Egress,
}

impl Direction {
    /// The name in pins' paths.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    pub(super) const fn attach_type(self) -> TcAttachType {
        match self {
            Self::Ingress => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }
}
