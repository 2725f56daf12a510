//! How programs are put on the devices that stay, and what is known of these.

use std::collections::{HashMap, HashSet};

use aya::programs::{SchedClassifier, TcAttachType};

use super::{error::AttachError, hook::Direction};

/// How programs are put on the devices that stay. Pods' veths always take clsact filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// Pinned TCX links (Linux 6.6).
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

/// What is known of the devices that stay.
#[derive(Debug, Default)]
pub struct Devices {
    /// How they are attached to; decided at the first need.
    pub(super) mode: Option<Attach>,
    /// Hooks that the other way has left, by interface index.
    pub(super) settled: HashSet<(u32, Direction)>,
    /// Devices that may have filters of ours, by interface index; `None` until all have been looked at.
    pub(super) filtered: Option<HashMap<u32, String>>,
    /// Others' filters that have been told.
    pub(super) told: HashSet<String>,
    /// Pods' links have been looked at for programs that are not for them.
    pub(super) corrected: bool,
}

/// Whether the kernel has TCX: it is asked what is attached to the loopback device.
#[must_use]
pub fn has_tcx() -> bool {
    SchedClassifier::query_tcx("lo", TcAttachType::Ingress).is_ok()
}

/// The way that the kernel allows and the user wants.
///
/// # Errors
/// Where TCX is wanted and the kernel has none.
pub fn mode(wanted: Option<Attach>) -> Result<Attach, AttachError> {
    match (wanted, has_tcx()) {
        (Some(Attach::Tcx), false) => Err(AttachError::NoTcx { release: release() }),
        (Some(wanted), _) => Ok(wanted),
        (None, true) => Ok(Attach::Tcx),
        (None, false) => Ok(Attach::Clsact),
    }
}

fn release() -> String {
    nix::sys::utsname::uname().map_or_else(|_| "unknown".into(), |names| names.release().to_string_lossy().into_owned())
}
