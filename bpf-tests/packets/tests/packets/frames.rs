//! Packets from builders, and the changes that a router makes to them.

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Ethernet2Header, IpNumber, Ipv4Options, PacketBuilder,
    PacketBuilderStep,
};

use crate::world::{A4, A6, B4, B6, HOST_A, MAC_A, NODE1, NODE1_6, SELF4, SELF6};

/// The payload of most packets.
const PAYLOAD: &[u8] = b"ferrule";
/// A UDP header and the payload.
const UDP_LENGTH: u16 = 8 + 7;
/// The TTL or hop limit of most packets.
pub const TTL: u8 = 64;

fn ethernet() -> PacketBuilderStep<Ethernet2Header> {
    PacketBuilder::ethernet2(MAC_A, HOST_A)
}

/// UDP over IPv4 from A's MAC.
pub fn udp4(source: [u8; 4], destination: [u8; 4], ttl: u8, port: u16) -> Vec<u8> {
    let builder = ethernet().ipv4(source, destination, ttl).udp(40_000, port);
    written(|out| builder.write(out, PAYLOAD))
}

/// UDP over IPv6 from A's MAC.
pub fn udp6(source: [u8; 16], destination: [u8; 16], ttl: u8, port: u16) -> Vec<u8> {
    let builder = ethernet().ipv6(source, destination, ttl).udp(40_000, port);
    written(|out| builder.write(out, PAYLOAD))
}

/// UDP over IPv4 from A's MAC, with this payload.
pub fn payload(source: [u8; 4], destination: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    let builder = ethernet().ipv4(source, destination, TTL).udp(40_000, port);
    written(|out| builder.write(out, payload))
}

/// The same over IPv6.
pub fn payload6(source: [u8; 16], destination: [u8; 16], port: u16, payload: &[u8]) -> Vec<u8> {
    let builder = ethernet().ipv6(source, destination, TTL).udp(40_000, port);
    written(|out| builder.write(out, payload))
}

/// A TCP segment from A to B with `payload` bytes.
pub fn tcp(v4: bool, payload: usize) -> Vec<u8> {
    let data = vec![0; payload];
    if v4 {
        let builder = ethernet().ipv4(A4, B4, TTL).tcp(40_000, 80, 1, 1024);
        written(|out| builder.write(out, &data))
    } else {
        let builder = ethernet().ipv6(A6, B6, TTL).tcp(40_000, 80, 1, 1024);
        written(|out| builder.write(out, &data))
    }
}

/// Flags of a TCP segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tcp {
    Syn,
    SynAck,
    Ack,
    Fin,
    Rst,
}

/// A TCP segment from one end to another, from A's MAC.
pub fn segment(source: ([u8; 4], u16), destination: ([u8; 4], u16), flags: Tcp) -> Vec<u8> {
    let builder = ethernet().ipv4(source.0, destination.0, TTL).tcp(source.1, destination.1, 1, 1024);
    let builder = match flags {
        Tcp::Syn => builder.syn(),
        Tcp::SynAck => builder.syn().ack(1),
        Tcp::Ack => builder.ack(1),
        Tcp::Fin => builder.fin().ack(1),
        Tcp::Rst => builder.rst(),
    };
    written(|out| builder.write(out, &[]))
}

/// UDP over IPv4 between two ports, from A's MAC.
pub fn datagram(source: ([u8; 4], u16), destination: ([u8; 4], u16)) -> Vec<u8> {
    let builder = ethernet().ipv4(source.0, destination.0, TTL).udp(source.1, destination.1);
    written(|out| builder.write(out, PAYLOAD))
}

/// An ICMP echo request or reply, from A's MAC.
pub fn echo4(source: [u8; 4], destination: [u8; 4], id: u16, reply: bool) -> Vec<u8> {
    let builder = ethernet().ipv4(source, destination, TTL);
    let builder = if reply { builder.icmpv4_echo_reply(id, 1) } else { builder.icmpv4_echo_request(id, 1) };
    written(|out| builder.write(out, PAYLOAD))
}

/// An ICMP error (type 3, code 3) that quotes a frame's packet, from A's MAC.
pub fn error4(source: [u8; 4], destination: [u8; 4], quoted: &[u8]) -> Vec<u8> {
    let builder = ethernet().ipv4(source, destination, TTL).icmpv4_raw(3, 3, [0; 4]);
    written(|out| builder.write(out, &quoted[14..]))
}

/// A router's word that a frame's packet is larger than `mtu` (RFC 1191), from A's MAC.
pub fn too_large4(source: [u8; 4], destination: [u8; 4], mtu: u16, quoted: &[u8]) -> Vec<u8> {
    let [high, low] = mtu.to_be_bytes();
    let builder = ethernet().ipv4(source, destination, TTL).icmpv4_raw(3, 4, [0, 0, high, low]);
    written(|out| builder.write(out, &quoted[14..]))
}

/// The same of IPv6 (RFC 4443 section 3.2).
pub fn too_large6(source: [u8; 16], destination: [u8; 16], mtu: u32, quoted: &[u8]) -> Vec<u8> {
    let builder = ethernet().ipv6(source, destination, TTL).icmpv6_raw(2, 0, mtu.to_be_bytes());
    written(|out| builder.write(out, &quoted[14..]))
}

/// UDP of so many bytes, from port 40,000.
pub fn large(v4: bool, bytes: usize, port: u16) -> Vec<u8> {
    let payload = vec![0; bytes];
    if v4 {
        let builder = ethernet().ipv4(SELF4, NODE1, TTL).udp(40_000, port);
        written(|out| builder.write(out, &payload))
    } else {
        let builder = ethernet().ipv6(SELF6, NODE1_6, TTL).udp(40_000, port);
        written(|out| builder.write(out, &payload))
    }
}

/// A fragment of a datagram: its first eight bytes of payload with `later` unset, else what follows.
pub fn fragment_of(frame: &[u8], id: u16, later: bool) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[18..20].copy_from_slice(&id.to_be_bytes());
    frame[20..22].copy_from_slice(&if later { [0, 2] } else { [0x20, 0] });
    with_checksum(frame)
}

/// UDP from A to B with IPv4 options (three no-operations and an end).
pub fn with_options() -> Vec<u8> {
    let mut header = etherparse::Ipv4Header::new(UDP_LENGTH, TTL, IpNumber::UDP, A4, B4).expect("it is short");
    header.options = Ipv4Options::try_from(&[1, 1, 1, 0][..]).expect("four bytes of options");
    let builder = ethernet().ip(etherparse::IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default()));
    let builder = builder.udp(40_000, 53);
    written(|out| builder.write(out, PAYLOAD))
}

/// The first fragment of A's UDP to `destination` port `port`, or a later one.
pub fn fragment4(destination: [u8; 4], port: u16, later: bool) -> Vec<u8> {
    let mut frame = udp4(A4, destination, TTL, port);
    // More fragments; or offset 1 (eight bytes), the last.
    frame[20..22].copy_from_slice(&if later { [0, 1] } else { [0x20, 0] });
    with_checksum(frame)
}

/// A frame of another EtherType.
pub fn other(ethertype: u16) -> Vec<u8> {
    let mut frame = ethernet_header(ethertype);
    frame.extend([0; 50]);
    frame
}

/// The same frame with a VLAN tag.
pub fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0, 5], &frame[12..]].concat()
}

/// ARP from A's MAC.
pub fn arp(request: bool, sender_mac: [u8; 6], sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let operation = if request { ArpOperation::REQUEST } else { ArpOperation::REPLY };
    let arp =
        ArpPacket::new(ArpHardwareId::ETHERNET, EtherType::IPV4, operation, &sender_mac, &sender, &[0; 6], &target)
            .expect("the sizes agree");
    let mut frame = ethernet_header(0x0806);
    frame.extend_from_slice(&arp.to_bytes());
    frame
}

/// ICMP of any type and code, from A's MAC.
pub fn icmp4(source: [u8; 4], destination: [u8; 4], kind: u8, code: u8) -> Vec<u8> {
    let builder = ethernet().ipv4(source, destination, TTL).icmpv4_raw(kind, code, [0; 4]);
    written(|out| builder.write(out, &[0; 28]))
}

/// ICMPv6 of any type with a body, hop limit 255, from A's MAC.
pub fn icmp6(source: [u8; 16], destination: [u8; 16], kind: u8, body: &[u8]) -> Vec<u8> {
    let builder = ethernet().ipv6(source, destination, 255).icmpv6_raw(kind, 0, [0; 4]);
    written(|out| builder.write(out, body))
}

/// Another source MAC.
pub fn from_mac(mut frame: Vec<u8>, mac: [u8; 6]) -> Vec<u8> {
    frame[6..12].copy_from_slice(&mac);
    frame
}

/// One hop further: TTL or hop limit one less, and the header checksum as computed anew.
pub fn routed(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame[12..14] == [0x08, 0x00] {
        frame[22] -= 1;
        with_checksum(frame)
    } else {
        frame[21] -= 1;
        frame
    }
}

/// The IPv4 header checksum computed anew.
pub fn with_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    let length = usize::from(frame[14] & 0xf) * 4;
    frame[24..26].fill(0);
    let mut sum: u32 =
        frame[14..14 + length].chunks(2).map(|half| u32::from(u16::from_be_bytes([half[0], half[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = !u16::try_from(sum).expect("folded");
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    frame
}

fn ethernet_header(ethertype: u16) -> Vec<u8> {
    [&HOST_A[..], &MAC_A[..], &ethertype.to_be_bytes()[..]].concat()
}

fn written<E: std::fmt::Debug>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Vec<u8> {
    let mut frame = Vec::new();
    write(&mut frame).expect("a vector takes everything");
    frame
}
