//! Programs on devices.
//!
//! Pods' veths take clsact filters with a fixed priority and handle, replaced in place: a TCX attach waits for RCU with
//! RTNL held, 13 ms for each pod. For the devices that stay see [`super::devices`].

use std::io;

use aya::{
    Ebpf,
    programs::{
        ProgramError, SchedClassifier, TcAttachType,
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
    },
};
use ferrule_common::Program;

use super::{
    Pins,
    devices::Devices,
    load::{LoadError, classifier},
    place::Place,
};

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

/// The loaded programs.
pub struct Programs {
    pub(super) ebpf: Ebpf,
    pub(super) pins: Pins,
    pub(super) devices: Devices,
}

impl Programs {
    pub(super) fn new(ebpf: Ebpf, pins: Pins) -> Self {
        Self { ebpf, pins, devices: Devices::default() }
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
        let class = class(index);
        add_clsact(device)?;
        self.attach_filter(Program::ToPod, device, Direction::Egress, class)?;
        self.attach_filter(Program::FromPod, device, Direction::Ingress, class)
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
}

/// The class of the filters of an endpoint.
pub(super) fn class(index: u32) -> Option<TcHandle> {
    u16::try_from(index).ok().map(|index| TcHandle::new(0, index))
}

pub(super) fn add_clsact(device: &str) -> Result<(), AttachError> {
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

/// Puts a pod's filter in its fixed place, which nobody else has on a pod's veth.
fn filter(
    classifier: &mut SchedClassifier,
    device: &str,
    direction: Direction,
    class: Option<TcHandle>,
) -> Result<(), ProgramError> {
    let place = Place { priority: PRIORITY, handle: HANDLE };
    match create(classifier, device, direction, place, class) {
        Err(ProgramError::TcError(error)) if is_already_there(&error) => {
            replace(classifier, device, direction, place, class)
        }
        other => other,
    }
}

/// Makes a filter where there is none.
pub(super) fn create(
    classifier: &mut SchedClassifier,
    device: &str,
    direction: Direction,
    place: Place,
    class: Option<TcHandle>,
) -> Result<(), ProgramError> {
    let options = NlOptions { priority: place.priority, handle: TcHandle::new(0, place.handle), classid: class };
    let options = TcAttachOptions::Netlink(options);
    let id = classifier.attach_with_options(device, direction.attach_type(), options)?;
    // Dropping the link would remove the filter, which has to outlive the agent.
    std::mem::forget(classifier.take_link(id)?);
    Ok(())
}

/// Gives a filter another program, without a gap.
pub(super) fn replace(
    classifier: &mut SchedClassifier,
    device: &str,
    direction: Direction,
    place: Place,
    class: Option<TcHandle>,
) -> Result<(), ProgramError> {
    let id = classifier.attach_to_link(attached(device, direction, place, class)?)?;
    // As above.
    std::mem::forget(classifier.take_link(id)?);
    Ok(())
}

/// Removes a filter.
pub(super) fn remove(device: &str, direction: Direction, place: Place) -> Result<(), ProgramError> {
    aya::programs::links::Link::detach(attached(device, direction, place, None)?)
}

fn attached(
    device: &str,
    direction: Direction,
    place: Place,
    class: Option<TcHandle>,
) -> Result<SchedClassifierLink, ProgramError> {
    let handle = TcHandle::new(0, place.handle);
    Ok(SchedClassifierLink::attached(device, direction.attach_type(), place.priority, handle, class)?)
}
