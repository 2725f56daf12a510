//! The limit on locked memory, by which kernels before 5.11 count maps.

use std::io;

use aya::util::KernelVersion;
use nix::sys::resource::{Resource, setrlimit};

/// Whether this kernel counts maps by it.
#[must_use]
pub fn counts() -> bool {
    KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(5, 11, 0))
}

/// Lifts it for this process.
///
/// # Errors
/// The kernel's, without `CAP_SYS_RESOURCE`.
pub fn raise() -> io::Result<()> {
    let unlimited = libc::RLIM_INFINITY;
    Ok(setrlimit(Resource::RLIMIT_MEMLOCK, unlimited, unlimited)?)
}
