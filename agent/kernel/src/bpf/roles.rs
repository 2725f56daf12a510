//! Which programs are for which devices: those of the node's devices have no business on pods' links.

use aya::programs::SchedClassifier;
use ferrule_common::Program;

use super::{
    attach::Programs,
    devices::{detach_filter, list, remove_pin},
    error::AttachError,
    hook::Direction,
};

impl Programs {
    /// Lets the next look at devices look at pods' links, too.
    pub fn doubt_roles(&mut self) {
        self.devices.corrected = false;
    }

    /// Takes programs of the node's devices off pods' links, where a former agent took one of these for the node's own, or
    /// somebody put them there. It looks once for each [`Self::doubt_roles`]; what is a pod's stays, so that no packet goes unjudged.
    pub(super) fn correct_roles(&mut self) -> Result<(), AttachError> {
        if std::mem::replace(&mut self.devices.corrected, true) {
            return Ok(());
        }
        let Ok(all) = nix::net::if_::if_nameindex() else { return Ok(()) };
        for device in &all {
            let (name, ifindex) = (device.name().to_string_lossy(), device.index());
            if !crate::net::own::is_pod_link(&name) {
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
                for filter in filters.iter().filter(|filter| filter.name.as_deref().is_some_and(is_of_node)) {
                    let program = filter.name.as_deref().unwrap_or_default();
                    tracing::warn!(device = %name, program, "a filter is taken off a pod's link, where it has no business");
                    detach_filter(&name, direction, filter)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a program's name is that of one for the devices that stay.
fn is_of_node(name: &str) -> bool {
    let is_of_pod = |program: &Program| matches!(program, Program::FromPod | Program::ToPod);
    Program::ALL.iter().filter(|program| !is_of_pod(program)).any(|program| program.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_programs_are_told_from_the_nodes() {
        for program in [Program::FromPod, Program::ToPod] {
            assert!(!is_of_node(program.name()), "{}", program.name());
        }
        assert!(is_of_node("from_netdev") && is_of_node("to_overlay") && is_of_node("to_bare") && !is_of_node("other"));
    }
}
