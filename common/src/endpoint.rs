//! `fr_endpoints`: the pods of this node, by address.

use crate::Mac;

value! {
    /// The value of `fr_endpoints`: what the programs need of a local pod. Written when the pod is added and removed only.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Endpoint {
        /// The host side of the pod's veth, an interface index of the node's network namespace.
        pub ifindex: u32,
        /// The endpoint's index on this node, the same for all its addresses.
        pub index: u32,
        /// The pod's MTU in bytes, without the Ethernet header.
        pub mtu: u32,
        /// The MAC of the pod's side of the veth.
        pub mac: Mac,
        /// [`VIA_STACK`], [`CHAINED`], or 0.
        pub flags: u16,
    }
}

/// [`Endpoint::flags`]: what the pod sends and receives takes the node's stack, since queueing disciplines on its veth
/// limit its bandwidth, and a redirect passes them by.
pub const VIA_STACK: u16 = 1;

/// [`Endpoint::flags`], beside [`VIA_STACK`]: another plugin made the pod's link and delivers its packets; the programs
/// judge them and do nothing else.
pub const CHAINED: u16 = 2;
