//! Network namespaces, by the numbers that they have for each other.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::{
    RouteNetlinkMessage,
    nsid::{NsidAttribute, NsidMessage},
};

use super::{Netlink, NetlinkError};

impl Netlink {
    /// The id that the socket's network namespace has for another; none where it has not given one, as it does when a link
    /// between the two is looked at.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn netns_id(&mut self, other: BorrowedFd<'_>) -> Result<Option<i32>, NetlinkError> {
        let mut message = NsidMessage::default();
        message.attributes = vec![NsidAttribute::Fd(other.as_raw_fd().cast_unsigned())];
        let answers =
            self.get("ask for the container's network namespace's id", RouteNetlinkMessage::GetNsId(message))?;
        let ids = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewNsId(message) => Some(message.attributes),
            _ => None,
        });
        Ok(ids.flatten().find_map(|attribute| match attribute {
            NsidAttribute::Id(id) => Some(id).filter(|id| *id >= 0),
            _ => None,
        }))
    }
}
