//! Userspace only: which types aya may copy to and from maps byte by byte.

use crate::{Address, Mac, endpoint, event, flow, link, metric, owner, path, peer, policy, prefix, service, source};

macro_rules! pod {
    ($($type:ty),+) => {
        $(
            // SAFETY: repr(C), Copy, made of integers and arrays of them, with padding as explicit fields: every bit
            // pattern is a value and there are no padding bytes.
            unsafe impl aya::Pod for $type {}
        )+
    };
}

pod!(
    Address,
    Mac,
    endpoint::Endpoint,
    link::Link,
    source::Source,
    peer::Peer,
    peer::Node,
    prefix::PrefixKey,
    prefix::Route,
    prefix::Cidr,
    metric::Counter,
    policy::Word,
    policy::Table,
    policy::RuleKey,
    policy::Rule,
    policy::ClassKey,
    policy::Class,
    policy::Block,
    flow::FlowKey,
    flow::Flow,
    flow::QueuedFlow,
    flow::Removals,
    flow::Share,
    flow::Tenant,
    flow::Quota,
    path::Sent,
    flow::FragmentKey,
    flow::Fragment,
    event::Event,
    event::Sampling,
    event::Watch,
    service::FrontendKey,
    service::PortWord,
    service::BackendKey,
    service::Backend,
    service::MemberKey,
    service::Member,
    service::AffinityKey,
    service::Affinity,
    service::SocketKey,
    service::Socket,
    owner::Owner
);
