//! DEL: everything goes, whatever is left of it. The network namespace may be gone, and `prevResult` is not read. What
//! a failing IPAM plugin cannot free does not keep the rest.

use ferrule_api::plugin::AttachmentId;

use super::{Context, release::release};
use crate::fault::Fault;

pub(super) fn del(id: &AttachmentId, context: &mut Context) -> Result<(), Fault> {
    let delegated = match context.delegate() {
        Ok(Some(delegate)) => delegate.run(&context.conf.raw).map(drop),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    let released = release(id, context);
    match (delegated, released) {
        (Err(delegated), released) => {
            context.notes.extend(released.err().map(|error| error.to_string()));
            Err(delegated.into())
        }
        (Ok(()), released) => released,
    }
}
