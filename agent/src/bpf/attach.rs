//! Programs on devices.
//!
//! Pods' veths take clsact filters with a fixed priority and handle, replaced in place: a TCX attach waits for RCU with
//! RTNL held, 13 ms for each pod. Devices that stay take pinned TCX links where the kernel has them (6.6), else clsact.

use std::{fs, io, path::Path};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType,
        links::{FdLink, LinkError, PinnedLink},
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
    },
    util::KernelVersion,
};
use ferrule_common::Program;

use super::{
    Pins,
    load::{LoadError, classifier},
    sys,
};

/// The priority of our clsact filters.
pub const PRIORITY: u16 = 1;
/// The minor handle of our clsact filters.
pub const HANDLE: u16 = 1;

/// A device's hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    const fn attach_type(self) -> TcAttachType {
        match self {
            Self::Ingress => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }
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
        path: std::path::PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The object lacks a program.
    #[error(transparent)]
    Object(#[from] LoadError),
}

/// The loaded programs.
pub struct Programs {
    ebpf: Ebpf,
    pins: Pins,
    tcx: bool,
}

impl Programs {
    pub(super) fn new(ebpf: Ebpf, pins: Pins) -> Self {
        Self { ebpf, pins, tcx: has_tcx() }
    }

    /// The kernel's id of a program, as filters and bpftool show it.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn id(&mut self, program: Program) -> Result<u32, AttachError> {
        let info = classifier(&mut self.ebpf, program)?.info();
        info.map(|info| info.id()).map_err(|source| AttachError::Attach {
            program: program.name(),
            device: "no device".into(),
            direction: Direction::Ingress,
            source,
        })
    }

    /// Puts `from_pod` and `to_pod` on the host side of a pod's veth, or replaces what is there without a gap. The
    /// filters' class is the endpoint's `index`, by which `from_pod` finds its sender.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn attach_pod(&mut self, device: &str, index: u32) -> Result<(), AttachError> {
        let class = u16::try_from(index).ok().map(|index| TcHandle::new(0, index));
        add_clsact(device)?;
        self.attach_filter(Program::ToPod, device, Direction::Egress, class)?;
        self.attach_filter(Program::FromPod, device, Direction::Ingress, class)
    }

    /// Puts a program on a device that stays, or replaces what a former agent put there without a gap.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn attach_device(
        &mut self,
        program: Program,
        device: &str,
        ifindex: u32,
        direction: Direction,
    ) -> Result<(), AttachError> {
        if self.tcx {
            self.attach_tcx(program, device, ifindex, direction)
        } else {
            add_clsact(device)?;
            self.attach_filter(program, device, direction, None)
        }
    }

    /// Removes the pins of links whose device is not among `devices`, which detaches them.
    ///
    /// # Errors
    /// Where the pins' folder cannot be read or a pin cannot be removed.
    pub fn detach_others(&self, devices: &[&str]) -> Result<(), AttachError> {
        let kept: Vec<_> = devices
            .iter()
            .flat_map(|device| [Direction::Ingress, Direction::Egress].map(|d| self.pins.link(device, d)))
            .collect();
        let folder = self.pins.links();
        for entry in fs::read_dir(&folder).map_err(|source| AttachError::Pin { path: folder.clone(), source })? {
            let path = entry.map_err(|source| AttachError::Pin { path: folder.clone(), source })?.path();
            if !kept.contains(&path) {
                unpin(&path)?;
            }
        }
        Ok(())
    }

    fn attach_filter(
        &mut self,
        program: Program,
        device: &str,
        direction: Direction,
        class: Option<TcHandle>,
    ) -> Result<(), AttachError> {
        let classifier = classifier(&mut self.ebpf, program)?;
        filter(classifier, device, direction, class).map_err(|source| AttachError::Attach {
            program: program.name(),
            device: device.into(),
            direction,
            source,
        })
    }

    fn attach_tcx(
        &mut self,
        program: Program,
        device: &str,
        ifindex: u32,
        direction: Direction,
    ) -> Result<(), AttachError> {
        let path = self.pins.link(device, direction);
        let failed = |source| AttachError::Attach { program: program.name(), device: device.into(), direction, source };
        let adopted = adopt(&path, ifindex)?;
        let classifier = classifier(&mut self.ebpf, program)?;
        if let Some(link) = adopted {
            let link = SchedClassifierLink::try_from(link).map_err(|error| pin_error(&path, error))?;
            let id = classifier.attach_to_link(link).map_err(failed)?;
            // The pin holds the link; dropping this descriptor changes nothing.
            drop(classifier.take_link(id).map_err(failed)?);
            return Ok(());
        }
        let options = TcAttachOptions::TcxOrder(LinkOrder::default());
        let id = classifier.attach_with_options(device, direction.attach_type(), options).map_err(failed)?;
        let link = classifier.take_link(id).map_err(failed)?;
        let link = FdLink::try_from(link).map_err(|error| pin_error(&path, error))?;
        link.pin(&path).map_err(|error| pin_error(&path, error))?;
        Ok(())
    }
}

/// Removes our clsact filter from a device that stays, where it runs a program of one of our names.
///
/// # Errors
/// The kernel's.
pub async fn detach_filter(
    net: &rtnetlink::Handle,
    ifindex: u32,
    device: &str,
    direction: Direction,
) -> Result<(), AttachError> {
    let found = crate::net::filter::program(net, ifindex, direction).await;
    let Ok(Some(id)) = found else { return Ok(()) };
    let ours = aya::programs::loaded_programs().flatten().any(|info| {
        info.id() == id && info.name_as_str().is_some_and(|name| Program::ALL.iter().any(|p| p.name() == name))
    });
    if !ours {
        return Ok(());
    }
    let handle = TcHandle::new(0, HANDLE);
    SchedClassifierLink::attached(device, direction.attach_type(), PRIORITY, handle, None)
        .map_err(ProgramError::from)
        .and_then(aya::programs::links::Link::detach)
        .map_err(|source| AttachError::Attach { program: "a filter of ours", device: device.into(), direction, source })
}

/// The pinned link, where it still sits on the device; a pin of a device that is gone is removed.
fn adopt(path: &Path, ifindex: u32) -> Result<Option<FdLink>, AttachError> {
    let link = match PinnedLink::from_pin(path) {
        Ok(link) => FdLink::from(link),
        Err(LinkError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(pin_error(path, error)),
    };
    let at = sys::pinned_link(path).map_err(|source| pin_error(path, source))?.ifindex;
    if at == ifindex {
        return Ok(Some(link));
    }
    unpin(path)?;
    Ok(None)
}

fn pin_error(path: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AttachError {
    AttachError::Pin { path: path.into(), source: io::Error::other(cause) }
}

/// TCX came with Linux 6.6.
fn has_tcx() -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0))
}

fn unpin(path: &Path) -> Result<(), AttachError> {
    fs::remove_file(path).map_err(|source| AttachError::Pin { path: path.into(), source })
}

fn add_clsact(device: &str) -> Result<(), AttachError> {
    match tc::qdisc_add_clsact(device) {
        Ok(()) => Ok(()),
        Err(error) if is_already_there(&error) => Ok(()),
        Err(source) => Err(AttachError::Qdisc { device: device.into(), source }),
    }
}

fn is_already_there(error: &TcError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.raw_os_error() == Some(libc::EEXIST)) {
            return true;
        }
        source = error.source();
    }
    false
}

fn filter(
    classifier: &mut SchedClassifier,
    device: &str,
    direction: Direction,
    class: Option<TcHandle>,
) -> Result<(), ProgramError> {
    let options = NlOptions { priority: PRIORITY, handle: TcHandle::new(0, HANDLE), classid: class };
    let options = TcAttachOptions::Netlink(options);
    let id = match classifier.attach_with_options(device, direction.attach_type(), options) {
        Err(ProgramError::TcError(error)) if is_already_there(&error) => {
            let (handle, priority) = (TcHandle::new(0, HANDLE), PRIORITY);
            let link = SchedClassifierLink::attached(device, direction.attach_type(), priority, handle, class)?;
            classifier.attach_to_link(link)?
        }
        other => other?,
    };
    // Dropping the link would remove the filter, which has to outlive the agent.
    std::mem::forget(classifier.take_link(id)?);
    Ok(())
}
