//! The token bucket as a device's root qdisc (linux/pkt_sched.h).

use futures::TryStreamExt;
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcHandle, TcMessage, TcOption},
};
use rtnetlink::{
    Handle,
    packet_core::{DefaultNla, NLM_F_CREATE, NLM_F_REPLACE, Nla, NlasIterator},
};

use super::{
    Rate,
    request::{ask, signed},
};
use crate::net::{LISTING, NetError};

const KIND: &str = "tbf";
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TC_LINKLAYER_ETHERNET: u8 = 1;
/// Where `struct tc_tbf_qopt` has its rate.
const RATE_AT: usize = 8;

/// Limits what a device sends.
pub(super) async fn set(handle: &Handle, name: &str, ifindex: u32, rate: Rate) -> Result<(), NetError> {
    let mut message = TcMessage::with_index(signed(ifindex));
    message.header.parent = TcHandle::ROOT;
    message.header.handle = TcHandle { major: 1, minor: 0 };
    message.attributes = vec![TcAttribute::Kind(KIND.into()), TcAttribute::Options(options(rate))];
    let message = RouteNetlinkMessage::NewQueueDiscipline(message);
    let what = format!("{name} could not be limited to {rate} (tbf, CONFIG_NET_SCH_TBF)");
    ask(handle, message, NLM_F_CREATE | NLM_F_REPLACE).await.map_err(NetError::netlink(what))
}

/// The rate in bytes a second that a device's root is limited to; none where it is not.
pub(super) async fn rate(handle: &Handle, ifindex: u32) -> Result<Option<u64>, NetError> {
    let _turn = LISTING.lock().await;
    let all: Vec<TcMessage> = handle
        .qdisc()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(NetError::netlink("the queueing disciplines could not be listed"))?;
    let index = signed(ifindex);
    let root = all.iter().find(|one| one.header.index == index && one.header.parent == TcHandle::ROOT);
    Ok(root.and_then(rate_of))
}

fn options(rate: Rate) -> Vec<TcOption> {
    let low = u32::try_from(rate.bytes).unwrap_or(u32::MAX);
    // Cell size, overhead, alignment and smallest packet are zero; the peak rate is none.
    let mut parms = vec![0, TC_LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
    parms.extend(low.to_ne_bytes());
    parms.extend([0; 12]);
    parms.extend(rate.limit.to_ne_bytes());
    parms.extend([0; 8]);
    let mut options = vec![
        DefaultNla::new(TCA_TBF_PARMS, parms),
        // In bytes; the field of the same meaning above is in ticks of a clock.
        DefaultNla::new(TCA_TBF_BURST, rate.burst.to_ne_bytes().to_vec()),
    ];
    if rate.bytes > u64::from(u32::MAX) {
        options.push(DefaultNla::new(TCA_TBF_RATE64, rate.bytes.to_ne_bytes().to_vec()));
    }
    options.into_iter().map(TcOption::Other).collect()
}

fn rate_of(qdisc: &TcMessage) -> Option<u64> {
    let is_tbf = |attribute: &TcAttribute| matches!(attribute, TcAttribute::Kind(kind) if kind == KIND);
    if !qdisc.attributes.iter().any(is_tbf) {
        return None;
    }
    let options = qdisc.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Options(options) => options.first(),
        _ => None,
    })?;
    let mut bytes = vec![0; options.value_len()];
    options.emit_value(&mut bytes);
    let (mut low, mut whole) = (None, None);
    for attribute in NlasIterator::new(&bytes[..]).flatten() {
        let value = attribute.value();
        match attribute.kind() {
            TCA_TBF_PARMS => low = value.get(RATE_AT..RATE_AT + 4)?.try_into().ok().map(u32::from_ne_bytes),
            TCA_TBF_RATE64 => whole = value.try_into().ok().map(u64::from_ne_bytes),
            _ => {}
        }
    }
    whole.or(low.map(u64::from))
}
