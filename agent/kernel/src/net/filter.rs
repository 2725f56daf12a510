//! The filters of a device's clsact hooks: whose they are, and which program a pod's filter runs.

use ferrule_netlink::{Netlink, NetlinkError};
use futures::TryStreamExt;
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
};
use rtnetlink::Handle;

use super::{NetError, errno};
use crate::bpf::hook::{Direction, HANDLE, PRIORITY};

/// A filter, as far as it matters whose it is and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Filters run in the order of their priorities.
    pub priority: u16,
    /// Minor handle within the priority.
    pub handle: u16,
    /// `bpf`, `flower`, …
    pub kind: String,
    /// The program's name, where it is one of eBPF.
    pub name: Option<String>,
}

/// Every filter of a hook of a device in the calling thread's network namespace, in the order in which they run. Blocks.
///
/// # Errors
/// The kernel's, except that there is no clsact qdisc or no such device.
pub fn list(ifindex: u32, direction: Direction) -> Result<Vec<Filter>, NetlinkError> {
    let Ok(index) = i32::try_from(ifindex) else { return Ok(Vec::new()) };
    let mut message = TcMessage::with_index(index);
    let minor = match direction {
        Direction::Ingress => TcHandle::MIN_INGRESS,
        Direction::Egress => TcHandle::MIN_EGRESS,
    };
    message.header.parent = TcHandle { major: 0xffff, minor };
    let doing = format!("list the filters of device {ifindex}");
    match Netlink::open()?.dump(&doing, RouteNetlinkMessage::GetTrafficFilter(message)) {
        Ok(answers) => Ok(answers.iter().filter_map(read).collect()),
        Err(error) if [libc::ENOENT, libc::EINVAL, libc::ENODEV].iter().any(|errno| error.is(*errno)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn read(answer: &RouteNetlinkMessage) -> Option<Filter> {
    let RouteNetlinkMessage::NewTrafficFilter(filter) = answer else { return None };
    let kind = filter.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Kind(kind) => Some(kind.clone()),
        _ => None,
    });
    let name = bpf_option(filter, |option| match option {
        TcFilterBpfOption::ProgName(name) => Some(name.clone()),
        _ => None,
    });
    // The upper half is the priority, the lower the protocol.
    let priority = u16::try_from(filter.header.info >> 16).ok()?;
    Some(Filter { priority, handle: filter.header.handle.minor, kind: kind.unwrap_or_default(), name })
}

fn bpf_option<T>(filter: &TcMessage, read: impl Fn(&TcFilterBpfOption) -> Option<T>) -> Option<T> {
    filter.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Options(options) => options.iter().find_map(|option| match option {
            TcOption::Bpf(option) => read(option),
            _ => None,
        }),
        _ => None,
    })
}

/// The id of the program behind the filter with our priority and handle; `None` where there is no such filter.
///
/// # Errors
/// The kernel's.
pub async fn program(handle: &Handle, ifindex: u32, direction: Direction) -> Result<Option<u32>, NetError> {
    Ok(messages(handle, ifindex, direction).await?.iter().filter(|filter| is_ours(filter)).find_map(program_id))
}

/// Whether a filter runs the program of this id, wherever it stands.
///
/// # Errors
/// The kernel's.
pub async fn runs(handle: &Handle, ifindex: u32, direction: Direction, program: u32) -> Result<bool, NetError> {
    Ok(messages(handle, ifindex, direction).await?.iter().any(|filter| program_id(filter) == Some(program)))
}

async fn messages(handle: &Handle, ifindex: u32, direction: Direction) -> Result<Vec<TcMessage>, NetError> {
    let Ok(index) = i32::try_from(ifindex) else { return Ok(Vec::new()) };
    let _turn = super::LISTING.lock().await;
    let request = handle.traffic_filter(index).get();
    let request = match direction {
        Direction::Ingress => request.ingress(),
        Direction::Egress => request.egress(),
    };
    match request.execute().try_collect().await {
        Ok(filters) => Ok(filters),
        // No clsact qdisc.
        Err(error) if matches!(errno(&error), Some(libc::ENOENT | libc::EINVAL)) => Ok(Vec::new()),
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
    bpf_option(filter, |option| match option {
        TcFilterBpfOption::ProgId(id) => Some(*id),
        _ => None,
    })
}
