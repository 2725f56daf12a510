//! Tells when links, addresses or routes of this network namespace change, so that the reconciler looks again.

use std::{io, sync::Arc};

use futures::StreamExt;
use rtnetlink::MulticastGroup;
use tokio::sync::Notify;

/// Notifies `changed` at every change, in the background. Events are not told apart: the reconciler reads what is.
///
/// # Errors
/// Where the socket cannot be made.
pub fn start(changed: Arc<Notify>) -> io::Result<()> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
    ];
    let (connection, _handle, mut messages) = rtnetlink::new_multicast_connection(&groups)?;
    tokio::spawn(connection);
    tokio::spawn(async move {
        // The handle keeps the connection open.
        let _handle = _handle;
        while messages.next().await.is_some() {
            changed.notify_one();
        }
    });
    Ok(())
}
