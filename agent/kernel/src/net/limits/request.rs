//! Requests to traffic control.

use futures::StreamExt;
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::{
    Handle,
    packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
};

/// One change, and the kernel's answer.
pub(super) async fn ask(handle: &Handle, message: RouteNetlinkMessage, flags: u16) -> Result<(), rtnetlink::Error> {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut answers = handle.clone().request(request)?;
    while let Some(answer) = answers.next().await {
        match answer.payload {
            NetlinkPayload::Error(error) if error.code.is_some() => return Err(rtnetlink::Error::NetlinkError(error)),
            _ => {}
        }
    }
    Ok(())
}

/// The index as traffic control has it.
pub(super) fn signed(ifindex: u32) -> i32 {
    i32::try_from(ifindex).unwrap_or_default()
}
