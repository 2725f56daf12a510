//! What can be wrong with a Node or a Pod, in words: the field, and what to do.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::screen::Special;
use crate::{cidr::Family, objects::ObjectName};

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// A node without a pod CIDR.
    #[error("spec.podCIDRs is empty; give the node a pod CIDR, since its pods get no addresses without one")]
    NoPodCidr,
    /// A pod CIDR with host bits.
    #[error("spec.podCIDRs[{index}] {given} has host bits set; it is read as {used}; write it so")]
    HostBits {
        /// Its place in the list.
        index: usize,
        /// As it is written.
        given: IpNetwork,
        /// As it is read.
        used: IpNetwork,
    },
    /// A pod CIDR that overlaps one of an older node, or one earlier in the list.
    #[error("spec.podCIDRs[{index}] {cidr} overlaps {other} of node {owner} and is left out; give one of them another")]
    CidrOverlap {
        /// Its place in the list.
        index: usize,
        /// The CIDR that is left out.
        cidr: IpNetwork,
        /// The one that stays.
        other: IpNetwork,
        /// Whose that one is.
        owner: String,
    },
    /// A pod CIDR with addresses that are for no pod.
    #[error(
        "spec.podCIDRs[{index}] {cidr} has addresses that are {what} and for no pod, so it is left out; give the node \
         another"
    )]
    SpecialPodCidr {
        /// Its place in the list.
        index: usize,
        /// The CIDR that is left out.
        cidr: IpNetwork,
        /// What its addresses are for.
        what: Special,
    },
    /// A pod CIDR that is broader than one node's can be.
    #[error(
        "spec.podCIDRs[{index}] {cidr} is broader than /{broadest}, which no node needs, so it is left out; give the node a \
         narrower one"
    )]
    BroadPodCidr {
        /// Its place in the list.
        index: usize,
        /// The CIDR that is left out.
        cidr: IpNetwork,
        /// The shortest prefix length, in bits.
        broadest: u8,
    },
    /// A pod CIDR outside of what is pods'.
    #[error(
        "spec.podCIDRs[{index}] {cidr} lies outside of cluster-cidrs, so it is left out; give the node another, or add it to \
         cluster-cidrs"
    )]
    PodCidrOutside {
        /// Its place in the list.
        index: usize,
        /// The CIDR that is left out.
        cidr: IpNetwork,
    },
    /// A pod CIDR among what is nodes'.
    #[error(
        "spec.podCIDRs[{index}] {cidr} overlaps {nodes} of node-cidrs, so it is left out; give the node another, or correct \
         node-cidrs"
    )]
    PodCidrAmongNodes {
        /// Its place in the list.
        index: usize,
        /// The CIDR that is left out.
        cidr: IpNetwork,
        /// The one of nodes.
        nodes: IpNetwork,
    },
    /// A pod CIDR that holds another node's InternalIP.
    #[error(
        "spec.podCIDRs[{index}] {cidr} holds {address}, the InternalIP of node {owner}, so it is left out; give the node \
         another"
    )]
    PodCidrHoldsNode {
        /// Its place in the list.
        index: usize,
        /// The CIDR that is left out.
        cidr: IpNetwork,
        /// The other node's address.
        address: IpAddr,
        /// The other node.
        owner: String,
    },
    /// A pod CIDR that holds a Service's address.
    #[error(
        "spec.podCIDRs[{index}] {cidr} holds {address}, the ClusterIP of Service {service}, so it is left out; give the node \
         another"
    )]
    PodCidrHoldsService {
        /// Its place in the list.
        index: usize,
        /// The CIDR that is left out.
        cidr: IpNetwork,
        /// The Service's address.
        address: IpAddr,
        /// Whose it is.
        service: ObjectName,
    },
    /// A pod CIDR that holds a pod's address that another node gave it.
    #[error(
        "spec.podCIDRs[{index}] {cidr} holds {address} of pod {pod}, which is on another node, so it is left out; give the node \
         another"
    )]
    PodCidrHoldsPod {
        /// Its place in the list.
        index: usize,
        /// The CIDR that is left out.
        cidr: IpNetwork,
        /// The pod's address.
        address: IpAddr,
        /// Whose it is.
        pod: ObjectName,
    },
    /// A pod CIDR of another node that holds an address of this node, or the way to others.
    #[error(
        "its pod CIDR {cidr} holds {address}, which this node has itself or reaches others by, so it is left out here; give \
         one of them another"
    )]
    PodCidrHoldsOwn {
        /// The CIDR that is left out.
        cidr: IpNetwork,
        /// This node's address, or a gateway's.
        address: IpAddr,
    },
    /// A node without an InternalIP.
    #[error("status.addresses has no InternalIP, so other nodes cannot reach its pods; add one")]
    NoInternalIp,
    /// An InternalIP of two nodes.
    #[error("status.addresses: InternalIP {address} is node {owner}'s too and is ignored here; correct one of them")]
    DuplicateInternalIp {
        /// The address.
        address: IpAddr,
        /// Who keeps it.
        owner: String,
    },
    /// An InternalIP that is no node's address.
    #[error("status.addresses: InternalIP {address} is {what} and no node's, so it is ignored; correct it")]
    SpecialInternalIp {
        /// The address.
        address: IpAddr,
        /// What it is for.
        what: Special,
    },
    /// An InternalIP outside of what is nodes'.
    #[error(
        "status.addresses: InternalIP {address} lies outside of node-cidrs, so it is ignored; correct it, or add its range to \
         node-cidrs"
    )]
    InternalIpOutside {
        /// The address.
        address: IpAddr,
    },
    /// An InternalIP that is an older Service's.
    #[error(
        "status.addresses: InternalIP {address} is the ClusterIP of Service {service}, so it is ignored; correct it"
    )]
    InternalIpOfService {
        /// The address.
        address: IpAddr,
        /// Whose it is.
        service: ObjectName,
    },
    /// An InternalIP that is a pod's.
    #[error(
        "status.addresses: InternalIP {address} is pod {pod}'s, which is on another node, so it is ignored; correct it"
    )]
    InternalIpOfPod {
        /// The address.
        address: IpAddr,
        /// Whose it is.
        pod: ObjectName,
    },
    /// An InternalIP within the addresses of pods.
    #[error(
        "status.addresses: InternalIP {address} lies inside {cidr}, which is for pods, so it is ignored; give the node an \
         address outside of it"
    )]
    InternalIpInCidr {
        /// The address.
        address: IpAddr,
        /// The cluster CIDR or pod CIDR.
        cidr: IpNetwork,
    },
    /// A node that has no address of a family that this node has.
    #[error("status.addresses has no InternalIP of a family that this node has too, so there is no way to it; add one")]
    NoCommonFamily,
    /// A node to which the kernel knows no way.
    #[error("no route to its InternalIP {address}, so its pods cannot be reached; add a route to the node's address")]
    NoPath {
        /// The address.
        address: IpAddr,
    },
    /// Native routing without a next hop for a family.
    #[error(
        "no {family} next hop for native routing, so its {family} pods cannot be reached; give it an InternalIP of \
         that family that is on link or routed, or use VXLAN"
    )]
    NoNextHop {
        /// The family.
        family: Family,
    },
    /// Native routing by two devices.
    #[error(
        "its IPv4 and IPv6 next hops leave by different devices ({v4} and {v6}); IPv6 is left out; route both by one \
         device, or use VXLAN"
    )]
    TwoDevices {
        /// The interface index for IPv4.
        v4: u32,
        /// The interface index for IPv6.
        v6: u32,
    },
    /// More nodes than the map has room for.
    #[error(
        "the node map holds {capacity} nodes and is full, so this one is left out: its pods are not reached; Ferrule has room for no more nodes"
    )]
    NodesFull {
        /// The highest index.
        capacity: u32,
    },
    /// Pods name a node of which there is no object.
    #[error(
        "{pods} pods, {example} among them, are on this node, but it has no Node object, so they are left out; add it"
    )]
    UnknownNode {
        /// How many.
        pods: usize,
        /// One of them.
        example: String,
    },
    /// An address that is no pod's.
    #[error("status.podIPs: {address} is {what} and no pod's, so it is ignored; correct what gave it")]
    SpecialPodIp {
        /// The address.
        address: IpAddr,
        /// What it is for.
        what: Special,
    },
    /// A pod's address outside of what is pods'.
    #[error(
        "status.podIPs: {address} lies outside of cluster-cidrs, so it is ignored; correct what gave it, or add its range to \
         cluster-cidrs"
    )]
    PodIpOutside {
        /// The address.
        address: IpAddr,
    },
    /// A pod's address among what is nodes'.
    #[error(
        "status.podIPs: {address} lies inside {nodes} of node-cidrs, so it is ignored; correct what gave it, or node-cidrs"
    )]
    PodIpAmongNodes {
        /// The address.
        address: IpAddr,
        /// The one of nodes.
        nodes: IpNetwork,
    },
    /// A pod's address within the pod CIDR of a node that it is not on.
    #[error(
        "status.podIPs: {address} lies inside {cidr}, the pod CIDR of node {owner}, so it is ignored; the pod's own node has to \
         give it an address"
    )]
    PodIpOfNode {
        /// The address.
        address: IpAddr,
        /// The CIDR.
        cidr: IpNetwork,
        /// Whose it is.
        owner: String,
    },
    /// A pod's address that is a Service's.
    #[error("status.podIPs: {address} is the ClusterIP of Service {service}, so it is ignored; correct what gave it")]
    PodIpOfService {
        /// The address.
        address: IpAddr,
        /// Whose it is.
        service: ObjectName,
    },
    /// A pod's address that the node that looks has itself, or by which it reaches others.
    #[error(
        "status.podIPs: {address} is an address that this node has itself or reaches others by, so it is ignored here; correct \
         what gave it"
    )]
    PodIpOfOwn {
        /// The address.
        address: IpAddr,
    },
    /// More pods of a node with wrong addresses than are told one by one.
    #[error(
        "{pods} pods on this node have addresses that are not theirs, of which {named} are named; see what gives them"
    )]
    ManyWrongPods {
        /// How many.
        pods: usize,
        /// How many are told one by one.
        named: usize,
    },
    /// An address of two pods, of which the other keeps it.
    #[error("status.podIPs: {address} belongs to {owner}, so it is ignored here; delete the pod that is stale")]
    DuplicateAddress {
        /// The address.
        address: IpAddr,
        /// Who keeps it.
        owner: String,
    },
}
