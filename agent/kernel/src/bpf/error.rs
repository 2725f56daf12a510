//! Why the datapath is not loaded, or a program not on its device.

use std::{io, path::PathBuf};

use aya::programs::{ProgramError, tc::TcError};

use super::{hook::Direction, pins::PinsError};

/// Why the datapath cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The pins' folder.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// A pinned map is not what its path says.
    #[error(
        "{path}: the pinned map has {field} {found}, this agent needs {wanted}; it was not made by this version: \
         run `ferrule-agent cleanup` with the version that made it, or remove the file"
    )]
    Layout {
        /// The pin.
        path: PathBuf,
        /// What differs.
        field: &'static str,
        /// What is pinned.
        found: String,
        /// What this agent needs.
        wanted: String,
    },
    /// The kernel or its BTF refused the object.
    #[error(
        "the kernel refused the eBPF object; Ferrule needs Linux 5.10 or newer with BPF and cls_bpf, and CAP_SYS_ADMIN"
    )]
    Object(#[source] aya::EbpfError),
    /// The verifier refused a program.
    #[error("the kernel refused the program {name}")]
    Program {
        /// The program.
        name: &'static str,
        /// The verifier's words.
        source: ProgramError,
    },
    /// A map could not be opened.
    #[error("the map {name} could not be opened")]
    Map {
        /// The map.
        name: String,
        /// The cause.
        source: aya::maps::MapError,
    },
    /// The object lacks something; a build is broken.
    #[error("the eBPF object has no {0}; build it again with `cargo xtask build-ebpf`")]
    Missing(&'static str),
}

/// Why a program is not on its device.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The kernel refused.
    #[error("{program} could not be attached to or removed from {device} ({})", direction.name())]
    Attach {
        /// The program.
        program: &'static str,
        /// The device.
        device: String,
        /// The hook.
        direction: Direction,
        /// The cause.
        source: ProgramError,
    },
    /// The clsact qdisc could not be added.
    #[error("{device}: the clsact qdisc could not be added; another plugin's `ingress` qdisc excludes it")]
    Qdisc {
        /// The device.
        device: String,
        /// The cause.
        source: TcError,
    },
    /// A link's pin could not be read, made or removed.
    #[error("the link's pin {path}")]
    Pin {
        /// The pin.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The filters of a device could not be listed.
    #[error("the filters of {device} ({})", direction.name())]
    Filters {
        /// The device.
        device: String,
        /// The hook.
        direction: Direction,
        /// The cause.
        source: ferrule_netlink::NetlinkError,
    },
    /// TCX is asked for, and the kernel has none.
    #[error(
        "--attach tcx: this kernel ({release}) has no TCX, which came with Linux 6.6; leave the flag out or give \
         --attach clsact"
    )]
    NoTcx {
        /// The kernel's release.
        release: String,
    },
    /// The object lacks a program.
    #[error(transparent)]
    Object(#[from] LoadError),
}
