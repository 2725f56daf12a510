//! Whether programs encapsulate, as far as the kernel and the setting go.

use ferrule_kernel::bpf::room;

use crate::config::Encapsulation;

/// Programs cannot encapsulate, and have to.
#[derive(Debug, thiserror::Error)]
#[error("--encapsulation program: this kernel's programs cannot encapsulate (Linux 5.12 can); use auto, or device")]
pub struct CannotEncapsulate;

/// Whether they do.
///
/// # Errors
/// Where they have to and cannot.
pub fn is_by_programs(wanted: Encapsulation) -> Result<bool, CannotEncapsulate> {
    match (wanted, room::can_encapsulate()) {
        (Encapsulation::Device, _) | (Encapsulation::Auto, false) => Ok(false),
        (Encapsulation::Auto | Encapsulation::Program, true) => Ok(true),
        (Encapsulation::Program, false) => Err(CannotEncapsulate),
    }
}
