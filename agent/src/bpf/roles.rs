//! Which programs are for which devices: those of the node's devices have no business on pods' links.

use aya::programs::SchedClassifier;
use ferrule_common::Program;

use super::{
    attach::{AttachError, Direction, Programs},
    devices::{detach_filters, list, remove_pin},
};

impl Programs {
    /// Takes programs of the node's devices off pods' links, where a former agent took one of these for the node's own. This
    /// agent puts none there: it looks once.
    pub(super) fn correct_roles(&mut self) -> Result<(), AttachError> {
        if std::mem::replace(&mut self.devices.corrected, true) {
            return Ok(());
        }
        let Ok(all) = nix::net::if_::if_nameindex() else { return Ok(()) };
        for device in &all {
            let (name, ifindex) = (device.name().to_string_lossy(), device.index());
            if !crate::attachment::is_ours(&name) {
                continue;
            }
            for direction in Direction::ALL {
                let attached = SchedClassifier::query_tcx(&name, direction.attach_type());
                let programs = attached.map(|(_, programs)| programs).unwrap_or_default();
                let wrong = programs.iter().filter_map(|program| program.name_as_str()).find(|one| is_of_node(one));
                if let Some(program) = wrong {
                    tracing::warn!(device = %name, program, "taken off a pod's link, where it has no business");
                    remove_pin(&self.pins.link(&name, direction))?;
                }
                let filters = list(&name, ifindex, direction)?;
                let wrong = filters.iter().any(|filter| filter.name.as_deref().is_some_and(is_of_node));
                if wrong {
                    tracing::warn!(device = %name, "a filter of the node's devices is taken off a pod's link");
                    // The pod's own, which go with it, are put back where pods are looked at.
                    detach_filters(&name, ifindex, direction)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a program's name is that of one for the devices that stay.
fn is_of_node(name: &str) -> bool {
    let programs = [Program::FromNetdev, Program::ToNetdev, Program::FromOverlay, Program::ToOverlay];
    programs.iter().any(|program| program.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_programs_are_told_from_the_nodes() {
        for program in [Program::FromPod, Program::ToPod] {
            assert!(!is_of_node(program.name()), "{}", program.name());
        }
        assert!(is_of_node("from_netdev") && is_of_node("to_overlay") && !is_of_node("other"));
    }
}
