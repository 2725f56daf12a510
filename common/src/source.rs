//! `fr_sources`: what a local pod may send as, by endpoint index.
//!
//! The class of a pod's filters is its endpoint's index (`__sk_buff.tc_classid`), so that `from_pod` finds its sender in
//! an array. What does not match its entry is judged by `fr_endpoints`: an entry that is read half written, or a pod
//! whose programs are attached in a way that knows no class, costs a lookup and decides nothing.

use crate::{Address, Mac};

value! {
    /// The value of `fr_sources`. All zero where the index is free.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Source {
        /// The host side of the pod's veth.
        pub ifindex: u32,
        /// The MAC of the pod's side of the veth.
        pub mac: Mac,
        /// As in `fr_endpoints`.
        pub flags: u16,
        /// The pod's first IPv4 address, or `::`.
        pub v4: Address,
        /// The pod's first IPv6 address, or `::`.
        pub v6: Address,
        /// The pod's tenant: an index into `fr_tenants`.
        pub tenant: u32,
    }
}

impl Source {
    /// The entry of a free index.
    pub const FREE: Self = Self {
        ifindex: 0,
        mac: Mac { octets: [0; 6] },
        flags: 0,
        v4: Address::UNSPECIFIED,
        v6: Address::UNSPECIFIED,
        tenant: 0,
    };
}
