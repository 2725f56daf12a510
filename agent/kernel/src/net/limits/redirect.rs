//! The filter behind `from_pod` that leads what a pod sends through another device.

use futures::TryStreamExt;
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{
        TcAction, TcActionAttribute, TcActionMirrorOption, TcActionOption, TcAttribute, TcFilterU32Option, TcHandle,
        TcMessage, TcOption,
    },
};
use rtnetlink::Handle;

use super::request::{ask, signed};
use crate::{
    bpf::hook::PRIORITY,
    net::{LISTING, NetError, errno},
};

/// After the program, which lets such a pod's packets go on to it.
const BEHIND: u16 = PRIORITY + 1;
/// Every protocol, network byte order.
const ETH_P_ALL: u16 = 3_u16.to_be();

/// Leads what a device with clsact receives through another one; what led elsewhere is replaced.
pub(super) async fn set(handle: &Handle, name: &str, ifindex: u32, through: u32) -> Result<(), NetError> {
    match target(handle, ifindex).await? {
        Some(found) if found == through => return Ok(()),
        _ => remove(handle, name, ifindex).await?,
    }
    let what = || {
        format!("what {name} receives could not be limited (u32, mirred: CONFIG_NET_CLS_U32, CONFIG_NET_ACT_MIRRED)")
    };
    let filter = handle.traffic_filter(signed(ifindex)).add().ingress().priority(BEHIND).protocol(ETH_P_ALL);
    let filter = filter.redirect(through).map_err(NetError::netlink(what()))?;
    filter.execute().await.map_err(NetError::netlink(what()))
}

/// Through which device it leads, 0 where that is gone; none where there is no such filter.
pub(super) async fn target(handle: &Handle, ifindex: u32) -> Result<Option<u32>, NetError> {
    let _turn = LISTING.lock().await;
    let filters: Result<Vec<TcMessage>, _> =
        handle.traffic_filter(signed(ifindex)).get().ingress().execute().try_collect().await;
    match filters {
        Ok(filters) => Ok(filters.iter().filter(|one| one.header.info >> 16 == u32::from(BEHIND)).find_map(mirred)),
        // No clsact qdisc.
        Err(error) if matches!(errno(&error), Some(libc::ENOENT | libc::EINVAL)) => Ok(None),
        Err(source) => {
            Err(NetError::Netlink { what: format!("the filters of device {ifindex} could not be read"), source })
        }
    }
}

async fn remove(handle: &Handle, name: &str, ifindex: u32) -> Result<(), NetError> {
    let mut message = TcMessage::with_index(signed(ifindex));
    message.header.parent = TcHandle { major: 0xffff, minor: TcHandle::MIN_INGRESS };
    message.header.info = u32::from(TcHandle { major: BEHIND, minor: ETH_P_ALL });
    match ask(handle, RouteNetlinkMessage::DelTrafficFilter(message), 0).await {
        Err(error) if matches!(errno(&error), Some(libc::ENOENT | libc::EINVAL)) => Ok(()),
        other => other.map_err(NetError::netlink(format!("a filter of {name} could not be removed"))),
    }
}

fn mirred(filter: &TcMessage) -> Option<u32> {
    let options = filter.attributes.iter().filter_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    let actions = options.flatten().filter_map(|option| match option {
        TcOption::U32(TcFilterU32Option::Action(actions)) => Some(actions),
        _ => None,
    });
    actions.flatten().find_map(target_of)
}

fn target_of(action: &TcAction) -> Option<u32> {
    let options = action.attributes.iter().filter_map(|attribute| match attribute {
        TcActionAttribute::Options(options) => Some(options),
        _ => None,
    });
    options.flatten().find_map(|option| match option {
        TcActionOption::Mirror(TcActionMirrorOption::Parms(parms)) => Some(parms.ifindex),
        _ => None,
    })
}
