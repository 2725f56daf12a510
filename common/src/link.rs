//! `fr_links`: the pods of this node, by the host side's interface index.
//!
//! Asked only where the source address cannot name the endpoint: ARP, and IPv6 from `::` or a link-local address.

use crate::Mac;

value! {
    /// The value of `fr_links`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Link {
        /// The endpoint's index, as in `fr_endpoints`.
        pub index: u32,
        /// The MAC of the pod's side of the veth.
        pub mac: Mac,
        /// The MAC of the host side: the gateway's, as the pod sees it.
        pub host_mac: Mac,
    }
}
