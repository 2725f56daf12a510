//! Sockets of backends that left are ended, in the node's network namespace and in its pods': each costs a listing of the
//! UDP sockets that are connected to the backend's port.

use std::collections::{BTreeSet, HashSet};

use ferrule_cni::netns::Netns;

use crate::{chain::chain, net::sockets};

/// Ends UDP sockets that are connected to one of these ports and have one of these cookies.
pub(super) fn end(ports: &HashSet<u16>, cookies: &HashSet<[u32; 2]>, pods: &BTreeSet<String>) {
    let mut ended = tell("this node", sockets::end(ports, cookies));
    for path in pods {
        if ended >= cookies.len() {
            break;
        }
        match Netns::open(path).and_then(|netns| netns.run(|| sockets::end(ports, cookies))) {
            Ok(result) => ended += tell(path, result),
            // It goes with its pod.
            Err(error) => tracing::debug!(path, error = chain(&error), "sockets"),
        }
    }
    tracing::debug!(ended, wanted = cookies.len(), "UDP sockets of backends that left are ended");
}

fn tell(place: &str, result: std::io::Result<usize>) -> usize {
    result.unwrap_or_else(|error| {
        tracing::warn!(place, %error, "UDP sockets that are connected to a backend that left cannot be ended");
        0
    })
}
