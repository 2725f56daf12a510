//! Which program a clsact filter of ours runs.

use futures::TryStreamExt;
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption};
use rtnetlink::Handle;

use super::{NetError, errno};
use crate::bpf::{
    Direction,
    attach::{HANDLE, PRIORITY},
};

/// The id of the program behind the filter with our priority and handle; `None` where there is no such filter.
///
/// # Errors
/// The kernel's.
pub async fn program(handle: &Handle, ifindex: u32, direction: Direction) -> Result<Option<u32>, NetError> {
    let Ok(index) = i32::try_from(ifindex) else { return Ok(None) };
    let _turn = super::LISTING.lock().await;
    let request = handle.traffic_filter(index).get();
    let request = match direction {
        Direction::Ingress => request.ingress(),
        Direction::Egress => request.egress(),
    };
    let filters: Result<Vec<TcMessage>, _> = request.execute().try_collect().await;
    match filters {
        Ok(filters) => Ok(filters.iter().filter(|filter| is_ours(filter)).find_map(program_id)),
        // No clsact qdisc.
        Err(error) if matches!(errno(&error), Some(libc::ENOENT | libc::EINVAL)) => Ok(None),
        Err(source) => {
            Err(NetError::Netlink { what: format!("the filters of device {ifindex} could not be read"), source })
        }
    }
}

fn is_ours(filter: &TcMessage) -> bool {
    // The upper half of `tcm_info` is the priority.
    filter.header.info >> 16 == u32::from(PRIORITY) && filter.header.handle == TcHandle { major: 0, minor: HANDLE }
}

fn program_id(filter: &TcMessage) -> Option<u32> {
    filter.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Options(options) => options.iter().find_map(|option| match option {
            TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
            _ => None,
        }),
        _ => None,
    })
}
