//! Why policies are not in force.

use aya::maps::MapError;

/// Why an endpoint's policy is not in force.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The source has not been read.
    #[error("the source of Kubernetes objects has not been read yet, so that its policies are not known")]
    Unread,
    /// The kernel refused a write; what follows waits for it.
    #[error("the maps of policies cannot be written: {step}")]
    Map {
        /// The step.
        step: String,
        /// The kernel's words.
        source: MapError,
    },
}

impl PolicyError {
    /// Whether a map has no room: hashes say E2BIG, tries ENOSPC.
    pub(super) fn is_full(&self) -> bool {
        let Self::Map { source, .. } = self else { return false };
        let error = match source {
            MapError::SyscallError(error) => &error.io_error,
            MapError::IoError(error) => error,
            _ => return false,
        };
        matches!(error.raw_os_error(), Some(libc::E2BIG | libc::ENOSPC))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn is_full(number: i32) -> bool {
        let source = MapError::IoError(io::Error::from_raw_os_error(number));
        PolicyError::Map { step: String::new(), source }.is_full()
    }

    #[test]
    fn a_full_map_is_told_from_other_errors() {
        assert_eq!([libc::E2BIG, libc::ENOSPC, libc::ENOMEM, libc::EPERM].map(is_full), [true, true, false, false]);
    }
}
