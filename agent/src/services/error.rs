//! Why Services are not in force.

use aya::maps::MapError;
use ferrule_kernel::bpf::cgroup::CgroupError;

/// Why Services are not in force.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The kernel refused a write; what follows waits for it.
    #[error("the maps of Services cannot be written: {step}")]
    Map {
        /// The step.
        step: String,
        /// The kernel's words.
        source: MapError,
    },
    /// The socket programs are not where they should be.
    #[error("Services are not translated at the socket")]
    Cgroup(#[from] CgroupError),
    /// There is no cgroup to attach to.
    #[error(
        "Services are not translated at the socket: no cgroup v2 is mounted; mount one, name it by --cgroup-root, or switch them off by --services off"
    )]
    NoCgroup,
}
