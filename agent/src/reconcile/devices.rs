//! Programs on the devices that stay.

use std::sync::{Mutex, PoisonError};

use ferrule_common::Program;
use ferrule_kernel::{
    bpf::{Direction, Programs},
    net::link::Device,
};

use super::{Ways, chain, others};

/// What came of it.
pub(super) struct Attached {
    /// Every program is on its device.
    pub all: bool,
    /// The names of devices that lead to no other node.
    pub others: Vec<String>,
    /// A sentence for each program that is not on its device.
    pub errors: Vec<String>,
}

/// Puts every program on its device.
/// `is_pod` knows links that other plugins made for pods.
pub(super) fn attach(
    programs: &Mutex<Programs>,
    ways: &Ways,
    whole: bool,
    is_pod: &dyn Fn(&str, u32) -> bool,
) -> Attached {
    let mut errors = Vec::new();
    let mut programs = programs.lock().unwrap_or_else(PoisonError::into_inner);
    // What has no Ethernet headers is not parsed: nothing leaves by it that may be forbidden.
    let leaves = |device: &Device| if device.ethernet { Program::ToNetdev } else { Program::ToBare };
    let own = ways.devices.iter().map(|device| (device, Some(Program::FromNetdev), leaves(device)));
    let overlay = ways.overlay.iter().map(|device| (device, Some(Program::FromOverlay), Program::ToOverlay));
    let others: Vec<&Device> = ways.others.iter().filter(|device| !is_pod(&device.name, device.ifindex)).collect();
    let guarded = others.iter().map(|device| {
        let (ingress, egress) = others::programs(device);
        (*device, ingress, egress)
    });
    let mut attached = true;
    for (Device { name, ifindex, .. }, ingress, egress) in overlay.chain(own).chain(guarded) {
        // What leaves first, so that nothing comes in that could not be answered.
        let hooks = [(Some(egress), Direction::Egress), (ingress, Direction::Ingress)];
        for (program, direction) in hooks.into_iter().filter_map(|(program, hook)| Some((program?, hook))) {
            let Err(error) = programs.attach_device(program, name, *ifindex, direction) else { continue };
            // One that goes in this moment carries nothing; and one that leads to no other node keeps pods from nothing.
            if nix::net::if_::if_nametoindex(name.as_str()).ok() == Some(*ifindex) {
                attached &= others.iter().any(|other| other.ifindex == *ifindex);
                errors.push(chain(&error));
            }
        }
    }
    if ways.devices.is_empty() {
        errors.push(
            "no device of this node holds its InternalIPs: correct the Node object's, or name devices (--devices)"
                .into(),
        );
    } else if whole {
        let kept = ways.overlay.iter().chain(&ways.devices).chain(others.iter().copied());
        let names: Vec<&str> = kept.map(|device| device.name.as_str()).collect();
        errors.extend(programs.detach_others(&names, is_pod).err().map(|error| chain(&error)));
    }
    let others = others.iter().map(|device| device.name.clone()).collect();
    Attached { all: attached, others, errors }
}
