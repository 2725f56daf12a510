//! From bytes to what decisions need: addresses, protocol, where layer 4 begins. The only file that reads IP headers.

use aya_ebpf::{bindings::__sk_buff, programs::TcContext};
use ferrule_common::{
    Address, Drop,
    wire::{self, ETHERNET, Ethernet, Ipv4, Ipv6, ethertype, protocol},
};

use crate::context::PacketContext;

/// IPv6 extension headers that are followed before a packet is given up.
const MOST_EXTENSIONS: u32 = 6;

/// What was parsed of an IP packet.
pub struct Packet {
    /// IPv4; else IPv6.
    pub v4: bool,
    /// The source.
    pub source: Address,
    /// The destination.
    pub destination: Address,
    /// The protocol behind IPv6 extension headers, if any.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Not the first fragment: there is no layer 4 header.
    pub later_fragment: bool,
    /// The first of several fragments.
    pub first_fragment: bool,
    /// What fragments of one packet have in common, network byte order.
    pub fragment_id: u32,
    /// There were IPv6 extension headers.
    pub extended: bool,
    /// Where layer 4 begins, from the packet's start.
    pub l4: u32,
    /// Where the packet ends by its own length; what lies behind is padding, which receivers cut off.
    pub end: u32,
}

/// The layer 3 protocol, host byte order. The kernel has taken a VLAN tag off already; [`has_vlan`] tells.
#[inline(always)]
pub fn ethertype(ctx: &TcContext) -> u16 {
    // SAFETY: the context pointer is valid while the program runs.
    let be = unsafe { (*ctx.skb.skb).protocol };
    u16::from_be(be as u16)
}

/// Whether the frame carried a VLAN tag.
#[inline(always)]
pub fn has_vlan(ctx: &TcContext) -> bool {
    // SAFETY: the context pointer is valid while the program runs.
    unsafe { (*ctx.skb.skb).vlan_present != 0 }
}

/// Whether the frame is of a VLAN with a device of its own. Number 0 is a priority alone (IEEE 802.1Q): the kernel gives such a
/// frame to the device that it came by.
#[inline(always)]
pub fn is_of_vlan(ctx: &TcContext) -> bool {
    // SAFETY: the context pointer is valid while the program runs.
    has_vlan(ctx) && unsafe { (*ctx.skb.skb).vlan_tci } & 0xfff != 0
}

/// Whether the frame was addressed to the device's own MAC.
#[inline(always)]
pub fn is_for_host(ctx: &TcContext) -> bool {
    // SAFETY: the context pointer is valid while the program runs.
    unsafe { (*ctx.skb.skb).pkt_type == 0 }
}

/// The interface that the program runs on.
#[inline(always)]
pub fn ifindex(ctx: &TcContext) -> u32 {
    // SAFETY: the context pointer is valid while the program runs.
    unsafe { (*ctx.skb.skb).ifindex }
}

/// The class of the filter that runs, 0 without one (TCX): a pod's filters have its endpoint's index.
#[inline(always)]
pub fn class(ctx: &TcContext) -> u32 {
    // SAFETY: the context pointer is valid while the program runs.
    unsafe { (*ctx.skb.skb).tc_classid }
}

/// The interface that the packet came in by; 0 for what this node's own stack made.
#[inline(always)]
pub fn came_by(ctx: &TcContext) -> u32 {
    // SAFETY: the context pointer is valid while the program runs.
    unsafe { (*ctx.skb.skb).ingress_ifindex }
}

/// Bytes of payload in each segment of a GSO packet; 0 where it is none.
#[inline(always)]
pub fn gso_size(ctx: &TcContext) -> u32 {
    // SAFETY: the context pointer is valid while the program runs.
    unsafe { (*ctx.skb.skb).gso_size }
}

/// A pointer to a `T` at `offset` of the packet's linear part, where it lies there wholly.
#[inline(always)]
pub fn header<T>(ctx: &TcContext, offset: usize) -> Option<*mut T> {
    let start = ctx.data();
    if start + offset + size_of::<T>() > ctx.data_end() { None } else { Some((start + offset) as *mut T) }
}

/// Makes the first `length` bytes linear where the packet has them. Invalidates pointers into the packet.
#[inline(always)]
pub fn pull(ctx: &TcContext, length: u32) {
    if ctx.data() + length as usize > ctx.data_end() && ctx.len() >= length {
        // A failure leaves the packet as it is; the bounds check that follows then gives up.
        let _ = ctx.pull_data(length);
    }
}

/// The Ethernet header's source MAC.
#[inline(always)]
pub fn source_mac(ctx: &TcContext) -> Result<[u16; 3], Drop> {
    let ethernet = header::<Ethernet>(ctx, 0).ok_or(Drop::Malformed)?;
    // SAFETY: `header` checked the bounds; the type is packed and made of integers.
    Ok(unsafe { (*ethernet).source })
}

/// Whether the frame is for many: broadcast or multicast by its destination MAC (IEEE 802, the group bit).
#[inline(always)]
pub fn is_for_many(ctx: &TcContext) -> Result<bool, Drop> {
    Ok(byte(ctx, 0)? & 1 != 0)
}

/// One byte at `offset`, wherever it lies.
#[inline(always)]
pub fn byte(ctx: &TcContext, offset: u32) -> Result<u8, Drop> {
    ctx.load::<u8>(offset as usize).map_err(|_| Drop::Malformed)
}

/// Whether a packet without an Ethernet header is UDP to `port` (host byte order), or may be: behind IPv6 extension headers.
#[inline(always)]
pub fn is_bare_udp_to(ctx: &TcContext, port: u16) -> bool {
    let (protocol, start) = if ethertype(ctx) == ethertype::IPV4 {
        let (Ok(first), Ok(protocol)) = (ctx.load::<u8>(0), ctx.load::<u8>(9)) else { return false };
        (protocol, usize::from(first & 0xf) * 4)
    } else {
        (ctx.load::<u8>(6).unwrap_or(0), wire::IPV6)
    };
    is_extension(protocol) && ethertype(ctx) != ethertype::IPV4
        || protocol == protocol::UDP && ctx.load::<u16>(start + 2).is_ok_and(|be| u16::from_be(be) == port)
}

impl Packet {
    /// Parses the IP header; `Ok(None)` where the frame holds neither IPv4 nor IPv6.
    #[inline(always)]
    pub fn parse(ctx: &TcContext) -> Result<Option<Self>, Drop> {
        match ethertype(ctx) {
            ethertype::IPV4 => Self::parse_v4(ctx, ETHERNET).map(Some),
            ethertype::IPV6 => Self::parse_v6(ctx, ETHERNET).map(Some),
            _ => Ok(None),
        }
    }

    /// Parses the IP header of a packet of this EtherType that begins at `start`, within another.
    #[inline(always)]
    pub fn parse_inner(ctx: &TcContext, ethertype: u16, start: usize) -> Result<Option<Self>, Drop> {
        match ethertype {
            ethertype::IPV4 => Self::parse_v4(ctx, start).map(Some),
            ethertype::IPV6 => Self::parse_v6(ctx, start).map(Some),
            _ => Ok(None),
        }
    }

    #[inline(always)]
    fn parse_v4(ctx: &TcContext, start: usize) -> Result<Self, Drop> {
        pull(ctx, (start + wire::IPV4) as u32);
        let ip = header::<Ipv4>(ctx, start).ok_or(Drop::Malformed)?;
        // SAFETY: `header` checked the bounds; the type is packed and made of integers.
        let ip = unsafe { &*ip };
        let header_length = u32::from(ip.version_ihl & 0xf) * 4;
        if ip.version_ihl >> 4 != 4 || header_length < wire::IPV4 as u32 {
            return Err(Drop::Malformed);
        }
        let total = u32::from(u16::from_be(ip.total_length_be));
        // A total length of 0 is how the kernel writes one above 65,535 (BIG TCP), in GSO packets only.
        if total < header_length && !(total == 0 && gso_size(ctx) != 0) || start as u32 + total > ctx.len() {
            return Err(Drop::Malformed);
        }
        let fragment = u16::from_be(ip.fragment_be);
        let (source, destination, identification) = (ip.source, ip.destination, ip.id_be);
        Ok(Self {
            v4: true,
            source: v4(source),
            destination: v4(destination),
            protocol: ip.protocol,
            hop_limit: ip.ttl,
            later_fragment: fragment & 0x1fff != 0,
            first_fragment: fragment & 0x3fff == MORE_FRAGMENTS,
            fragment_id: u32::from(identification),
            extended: false,
            l4: start as u32 + header_length,
            end: if total == 0 { ctx.len() } else { start as u32 + total },
        })
    }

    #[inline(always)]
    fn parse_v6(ctx: &TcContext, start: usize) -> Result<Self, Drop> {
        pull(ctx, (start + wire::IPV6) as u32);
        let ip = header::<Ipv6>(ctx, start).ok_or(Drop::Malformed)?;
        // SAFETY: `header` checked the bounds; the type is packed and made of integers.
        let ip = unsafe { &*ip };
        let start = (start + wire::IPV6) as u32;
        let length = u32::from(u16::from_be(ip.payload_length_be));
        if ip.version_class_label[0] >> 4 != 6 || start + length > ctx.len() {
            return Err(Drop::Malformed);
        }
        // A length of 0 is how the kernel writes one above 65,535 (BIG TCP), in GSO packets only.
        let end = if length == 0 && gso_size(ctx) != 0 { ctx.len() } else { start + length };
        let (source, destination) = (v6(ip.source), v6(ip.destination));
        if source.is_v4() || destination.is_v4() {
            return Err(Drop::V4Mapped);
        }
        let mut packet = Self {
            v4: false,
            source,
            destination,
            protocol: ip.next_header,
            hop_limit: ip.hop_limit,
            later_fragment: false,
            first_fragment: false,
            fragment_id: 0,
            extended: false,
            l4: start,
            end,
        };
        if is_extension(packet.protocol) {
            packet.follow_extensions(ctx)?;
        }
        Ok(packet)
    }

    #[inline(always)]
    fn follow_extensions(&mut self, ctx: &TcContext) -> Result<(), Drop> {
        let end = fr_extensions(ctx.skb.skb, self.protocol.into(), self.l4);
        if end == MALFORMED {
            return Err(Drop::Malformed);
        }
        if end == TOO_MANY {
            return Err(Drop::ExtensionHeaders);
        }
        self.protocol = end as u8;
        self.later_fragment = end & LATER_FRAGMENT != 0;
        self.first_fragment = end & FIRST_FRAGMENT != 0;
        self.fragment_id = PacketContext::current().map_or(0, |context| context.fragment_id);
        self.extended = true;
        self.l4 = end >> L4_SHIFT;
        if self.l4 > self.end { Err(Drop::Malformed) } else { Ok(()) }
    }

    /// What lies at `offset` of layer 4.
    #[inline(always)]
    pub fn load<T>(&self, ctx: &TcContext, offset: u32) -> Result<T, Drop> {
        let at = self.l4 + offset;
        if at + size_of::<T>() as u32 > self.end {
            return Err(Drop::Malformed);
        }
        ctx.load::<T>(at as usize).map_err(|_| Drop::Malformed)
    }

    /// Whether this is UDP to `port` (host byte order), or may become it: a first fragment too short to tell.
    #[inline(always)]
    pub fn may_be_udp_to(&self, ctx: &TcContext, port: u16) -> bool {
        self.protocol == protocol::UDP
            && !self.later_fragment
            && self.load::<u16>(ctx, 2).map_or(true, |be| u16::from_be(be) == port)
    }

    /// Whether this is UDP to `port` (host byte order).
    #[inline(always)]
    pub fn is_udp_to(&self, ctx: &TcContext, port: u16) -> bool {
        self.protocol == protocol::UDP
            && !self.later_fragment
            && self.load::<u16>(ctx, 2).is_ok_and(|be| u16::from_be(be) == port)
    }

    /// Whether this is an ICMP error that says how large a packet may be (RFC 1191, RFC 8201).
    #[inline(always)]
    pub fn is_too_large_error(&self, ctx: &TcContext) -> bool {
        const UNREACHABLE_FRAGMENTATION_NEEDED: u16 = 0x0304;
        const PACKET_TOO_BIG: u16 = 0x0200;
        let wanted = match self.protocol {
            protocol::ICMP if self.v4 => UNREACHABLE_FRAGMENTATION_NEEDED,
            protocol::ICMPV6 if !self.v4 => PACKET_TOO_BIG,
            _ => return false,
        };
        !self.later_fragment && self.load::<u16>(ctx, 0).is_ok_and(|be| u16::from_be(be) == wanted)
    }

    /// Whether this packet, or each segment that it will be cut into, is larger than `mtu` bytes of layer 3.
    #[inline(always)]
    pub fn is_larger_than(&self, ctx: &TcContext, mtu: u32) -> bool {
        let gso = gso_size(ctx);
        if gso == 0 {
            return ctx.len() - ETHERNET as u32 > mtu;
        }
        let l4_header = match self.protocol {
            protocol::TCP => match self.load::<u8>(ctx, 12) {
                Ok(offset) => u32::from(offset >> 4) * 4,
                Err(_) => return true,
            },
            protocol::UDP => 8,
            // Cut by fragment lists, which have no single size: the stack knows.
            _ => return true,
        };
        // The hop-by-hop option of a packet above 65,535 bytes (RFC 2675) goes when the packet is cut.
        let jumbo = if self.extended && ctx.len() - ETHERNET as u32 > 65_535 { JUMBO } else { 0 };
        self.l4 - jumbo - ETHERNET as u32 + l4_header + gso > mtu
    }
}

/// Bytes of a hop-by-hop header with the jumbo payload option.
const JUMBO: u32 = 8;

/// What [`fr_extensions`] gives where headers do not add up.
pub const MALFORMED: u32 = u32::MAX;
/// What [`fr_extensions`] gives where there are more than it follows.
pub const TOO_MANY: u32 = u32::MAX - 1;
/// In what [`fr_extensions`] gives: not the first fragment.
pub const LATER_FRAGMENT: u32 = 1 << 8;
const FIRST_FRAGMENT: u32 = 1 << 9;
/// Of an IPv4 header's fragment field, host byte order.
const MORE_FRAGMENTS: u16 = 0x2000;
/// In what [`fr_extensions`] gives: where the next header begins.
pub const L4_SHIFT: u32 = 16;

/// RFC 8200 section 4: from one extension header to the next until something else comes. Gives its protocol, whether
/// it is a fragment's, and where it begins, in one word: a global function, which the verifier reads once. The fragment
/// header's identification, if there is one, goes into the context.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_extensions(skb: *mut __sk_buff, first: u32, start: u32) -> u32 {
    let ctx = TcContext::new(skb);
    let mut protocol = first as u8;
    let mut first_fragment = 0;
    let mut l4 = start;
    for _ in 0..MOST_EXTENSIONS {
        // Every extension header is at least eight bytes long.
        let Ok(start) = ctx.load::<[u8; 4]>(l4 as usize) else { return MALFORMED };
        let fragment = protocol == FRAGMENT;
        l4 += match protocol {
            FRAGMENT => 8,
            AUTHENTICATION => (u32::from(start[1]) + 2) * 4,
            _ => (u32::from(start[1]) + 1) * 8,
        };
        protocol = start[0];
        if fragment {
            let Ok(id) = ctx.load::<u32>(l4 as usize - 4) else { return MALFORMED };
            if let Some(context) = PacketContext::current() {
                context.fragment_id = id;
            }
            let place = u16::from_be_bytes([start[2], start[3]]);
            if place & 0xfff8 != 0 {
                return l4 << L4_SHIFT | LATER_FRAGMENT | u32::from(protocol);
            }
            if place & 1 != 0 {
                first_fragment = FIRST_FRAGMENT;
            }
        }
        if l4 > ctx.len() {
            return MALFORMED;
        }
        if !is_extension(protocol) {
            return l4 << L4_SHIFT | first_fragment | u32::from(protocol);
        }
    }
    TOO_MANY
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// Whether another header follows an IPv6 header of this kind.
#[inline(always)]
pub const fn is_extension(next_header: u8) -> bool {
    matches!(next_header, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HIP | SHIM6)
}

/// The address of an IPv4 or ARP header.
#[inline(always)]
pub fn v4(halves: [u16; 2]) -> Address {
    Address::v4(word(halves[0], halves[1]).to_ne_bytes())
}

/// The address of an IPv6 header.
#[inline(always)]
pub fn v6(h: [u16; 8]) -> Address {
    Address::from_words([word(h[0], h[1]), word(h[2], h[3]), word(h[4], h[5]), word(h[6], h[7])])
}

/// Two halves as they lie in memory, as the word that lies there.
#[inline(always)]
const fn word(first: u16, second: u16) -> u32 {
    if cfg!(target_endian = "little") {
        first as u32 | (second as u32) << 16
    } else {
        (first as u32) << 16 | second as u32
    }
}
