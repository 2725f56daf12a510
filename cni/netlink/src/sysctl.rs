//! An interface's IPv6 settings. `/proc/sys/net` shows the network namespace of the thread that opens it (the kernel's
//! `net_ctl_header_lookup` asks `current`), so these functions act where their caller is.

use std::{fs, io, path::PathBuf};

/// A setting under `net.ipv6.conf.<interface>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// `disable_ipv6=0`: runtimes disable it in containers.
    EnableIpv6,
    /// `accept_ra=0`: nobody tells this interface a router.
    RefuseRouters,
    /// `accept_dad=0`: link-local addresses are usable at once.
    TrustAddresses,
}

impl Setting {
    fn name_and_value(self) -> (&'static str, &'static str) {
        match self {
            Self::EnableIpv6 => ("disable_ipv6", "0"),
            Self::RefuseRouters => ("accept_ra", "0"),
            Self::TrustAddresses => ("accept_dad", "0"),
        }
    }
}

/// A setting that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {value} to {}", path.display())]
pub struct SysctlError {
    /// The file.
    pub path: PathBuf,
    /// What it should say.
    pub value: &'static str,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// Writes a setting of an interface in the calling thread's network namespace, unless it stands so. A kernel without
/// IPv6 has none of them, and that is fine.
///
/// # Errors
/// The file is there and cannot be written.
pub fn set(interface: &str, setting: Setting) -> Result<(), SysctlError> {
    let (name, value) = setting.name_and_value();
    let path = PathBuf::from("/proc/sys/net/ipv6/conf").join(interface).join(name);
    let written = match fs::read_to_string(&path) {
        Ok(found) if found.trim_end() == value => Ok(()),
        Ok(_) => fs::write(&path, value),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    written.map_err(|source| SysctlError { path, value, source })
}
