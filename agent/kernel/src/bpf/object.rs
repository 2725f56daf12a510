//! The programs of the loaded object.

use aya::{Ebpf, programs::SchedClassifier};
use ferrule_common::Program;

use super::error::LoadError;

/// One of the object's programs.
pub(super) fn classifier(ebpf: &mut Ebpf, program: Program) -> Result<&mut SchedClassifier, LoadError> {
    ebpf.program_mut(program.name())
        .and_then(|program| <&mut SchedClassifier>::try_from(program).ok())
        .ok_or(LoadError::Missing(program.name()))
}
