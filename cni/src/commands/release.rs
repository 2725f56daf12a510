//! Giving an attachment back, by the agent or without it. DEL ends with it, and so does an ADD that failed.

use ferrule_api::plugin::{AttachmentId, ReleaseRequest, host_ifname};
use ferrule_netlink::Netlink;

use super::Context;
use crate::{fault::Fault, note};

/// Has the agent release an attachment. An agent that does not is told by a note, and the link is deleted here; that is
/// all a pod's end needs.
///
/// The host side's name comes from the container id, so that no other container's link can be hit.
pub(super) fn release(id: &AttachmentId, context: &mut Context) -> Result<(), Fault> {
    let request = ReleaseRequest { id: id.clone() };
    let link = host_ifname(&id.container_id, &id.ifname);
    let Err(agent) = context.agent.release(&request) else {
        // The agent may not have known the link: an ADD that was killed did not tell it.
        if nix::net::if_::if_nametoindex(link.as_str()).is_ok() {
            delete(&link, context);
        }
        return Ok(());
    };
    let note = note::leave(&context.conf.agent_socket, &request);
    delete(&link, context);
    match note {
        Ok(path) => {
            context.notes.push(format!("{agent}; a release note waits at {}", path.display()));
            Ok(())
        }
        Err(note) => Err(Fault::Unreleased { note, agent }),
    }
}

/// Deletes a link. What fails here, the agent repairs: it removes links that no lease names.
fn delete(link: &str, context: &mut Context) {
    if let Err(error) = Netlink::open().and_then(|mut netlink| netlink.delete_link(link)) {
        context.notes.push(format!("{error}: {}", error.source));
    }
}
