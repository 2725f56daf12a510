//! Programs on devices.
//!
//! Pods' veths take clsact filters with a fixed priority and handle, replaced in place: a TCX attach waits for RCU with
//! RTNL held, 13 ms for each pod. For the devices that stay see [`super::devices`].

use aya::{Ebpf, programs::tc::TcHandle};
use ferrule_common::Program;

use super::{
    Pins,
    error::AttachError,
    filters::{add_clsact, class, filter},
    hook::Direction,
    mode::Devices,
    object::classifier,
};

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
