//! clsact filters of ours, made, replaced in place and removed.

use std::io;

use aya::programs::{
    ProgramError, SchedClassifier,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
};

use super::{
    error::AttachError,
    hook::{Direction, HANDLE, PRIORITY},
    place::Place,
};

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
pub(super) fn filter(
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
