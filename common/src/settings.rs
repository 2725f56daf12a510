//! What is fixed when the programs are loaded: read-only globals, so that the verifier prunes what is off.

/// The overlay's VXLAN network identifier, in all packets of all nodes.
pub const VNI: u32 = 1;
/// The global that holds the VXLAN port, a `u16` in host byte order.
pub const VXLAN_PORT: &str = "VXLAN_PORT";
/// The default of [`VXLAN_PORT`].
pub const DEFAULT_VXLAN_PORT: u16 = 8472;

/// Every pod's IPv4 gateway (RFC 3927), on link, answered by `from_pod`.
pub const GATEWAY_V4: [u8; 4] = [169, 254, 1, 1];
/// Every pod's IPv6 gateway, `fe80::1`, on link, answered by `from_pod`.
pub const GATEWAY_V6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// The global with the jiffies that an established TCP connection may be silent.
pub const TIMEOUT_TCP: &str = "TIMEOUT_TCP";
/// The global with the jiffies that a TCP connection may take until its originator acknowledges the answer.
pub const TIMEOUT_OPENING: &str = "TIMEOUT_OPENING";
/// The global with the jiffies that a closed TCP connection is remembered.
pub const TIMEOUT_CLOSING: &str = "TIMEOUT_CLOSING";
/// The global with the jiffies that a short UDP exchange may be silent.
pub const TIMEOUT_UDP: &str = "TIMEOUT_UDP";
/// The global with the jiffies that a lasting UDP or SCTP flow may be silent.
pub const TIMEOUT_STREAM: &str = "TIMEOUT_STREAM";
/// The global with the jiffies that any other flow may be silent.
pub const TIMEOUT_OTHER: &str = "TIMEOUT_OTHER";
/// The global with the number of flows that one endpoint may have in each direction.
pub const FLOW_SHARE: &str = "FLOW_SHARE";
/// The global with the jiffies of a second (`CONFIG_HZ`).
pub const JIFFIES: &str = "JIFFIES";
/// The global, a byte: 1 where a pod's packets to its own node are judged by its policies.
pub const OWN_NODE_POLICED: &str = "OWN_NODE_POLICED";
/// The global with the bit of a packet's mark that says that its sender's egress is not judged yet.
pub const OPEN_MARK: &str = "OPEN_MARK";
/// The default of [`OPEN_MARK`]: none of the bits that kube-proxy, portmap, Calico, Cilium or Tailscale use.
pub const DEFAULT_OPEN_MARK: u32 = 1 << 20;
/// The global, a byte: 1 where the node serves Services.
pub const SERVICES_ON: &str = "SERVICES_ON";
/// The global, a byte: 1 where a socket program can say why it refuses (`bpf_set_retval`, Linux 5.18).
pub const SET_RETVAL: &str = "SET_RETVAL";
/// The global with the bytes of layer 3 that the way between two nodes over IPv4 has to carry at least: what claims less is not
/// believed. Over IPv6 it is 20 more.
pub const TUNNEL_FLOOR: &str = "TUNNEL_FLOOR";
/// [`TUNNEL_FLOOR`] where pods have IPv6: its least MTU (RFC 8200 section 5) and the tunnel's headers.
pub const FLOOR_V6: u32 = 1280 + 50;
/// [`TUNNEL_FLOOR`] where pods have IPv4 alone: what every host has to take (RFC 791 section 3.1), and the tunnel's headers.
pub const FLOOR_V4: u32 = 576 + 50;
/// `__sk_buff.tc_index` of what the overlay device has encapsulated.
pub const TUNNELLED: u32 = 0xfe11;
/// `__sk_buff.tc_index` of what a program has encapsulated.
pub const ENCAPSULATED: u32 = 0xfe13;
/// The global, a byte: 1 where a program may take an IPv6 packet out of IPv4 (`BPF_F_ADJ_ROOM_DECAP_L3_IPV6`, Linux 6.3).
pub const OPENS_V6: &str = "OPENS_V6";
/// `__sk_buff.tc_index` of what came by a pod's link and was left to the host's stack: whatever ends the host's NAT gives it,
/// its answers belong to the stack.
pub const LEFT_TO_STACK: u32 = 0xfe12;
/// The global, a byte: 1 where the agent says which network namespaces are pods' (`SO_NETNS_COOKIE`, Linux 5.14), so that
/// others are strangers.
pub const OWNERS_KNOWN: &str = "OWNERS_KNOWN";
/// The global, a byte: 1 where a program is told which socket of MPTCP one belongs to (`bpf_skc_to_mptcp_sock`, Linux 5.19).
pub const MPTCP_TOLD: &str = "MPTCP_TOLD";
/// The global with the events that one CPU may write in a second.
pub const EVENTS_A_SECOND: &str = "EVENTS_A_SECOND";
