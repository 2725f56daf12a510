//! Programs on the devices that stay.

use std::sync::{Mutex, PoisonError};

use ferrule_common::Program;

use super::{Ways, chain};
use crate::{
    bpf::{Direction, Programs},
    net::link::Device,
};

/// Puts every program on its device; a sentence for each that is not there then, and whether all are.
/// `is_pod` knows links that other plugins made for pods.
pub(super) fn attach(
    programs: &Mutex<Programs>,
    ways: &Ways,
    whole: bool,
    is_pod: &dyn Fn(&str, u32) -> bool,
) -> (bool, Vec<String>) {
    let mut errors = Vec::new();
    let mut programs = programs.lock().unwrap_or_else(PoisonError::into_inner);
    let own = ways.devices.iter().map(|device| (device, Program::FromNetdev, Program::ToNetdev));
    let overlay = ways.overlay.iter().map(|device| (device, Program::FromOverlay, Program::ToOverlay));
    for (Device { name, ifindex, .. }, ingress, egress) in overlay.chain(own) {
        // What leaves first, so that nothing comes in that could not be answered.
        for (program, direction) in [(egress, Direction::Egress), (ingress, Direction::Ingress)] {
            errors.extend(programs.attach_device(program, name, *ifindex, direction).err().map(|error| chain(&error)));
        }
    }
    let attached = errors.is_empty();
    if ways.devices.is_empty() {
        errors.push(
            "no device of this node holds its InternalIPs: correct the Node object's, or name devices (--devices)"
                .into(),
        );
    } else if whole {
        let names: Vec<&str> = ways.overlay.iter().chain(&ways.devices).map(|device| device.name.as_str()).collect();
        errors.extend(programs.detach_others(&names, is_pod).err().map(|error| chain(&error)));
    }
    (attached, errors)
}
