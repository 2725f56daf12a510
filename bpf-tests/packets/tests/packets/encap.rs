//! Pods' packets that a program puts into the tunnel.

use etherparse::{Ipv4HeaderSlice, UdpHeaderSlice};
use ferrule_common::{
    Outcome,
    Program::{FromNetdev, FromPod, ToNetdev},
    settings::{ENCAPSULATED, LEFT_TO_STACK, TUNNELLED},
};

use crate::{
    frames::{self, TTL, udp4, udp6},
    run::{
        Bench,
        Expected::{Passes, Redirected},
    },
    world::{A4, A6, CLASS_A, HERE, NETDEV, NODE6, OUTSIDE4, OVERLAY, POD6, POD6_6, SELF4, THERE},
};

/// The frame that leaves, and what stands behind its tunnel's headers.
fn encapsulated(frame: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let seen = Bench::new().see(FromPod, frame);
    assert_eq!((seen.returned, seen.counted, seen.target), (7, Outcome::Overlay as u32, NETDEV));
    let inner = seen.bytes[14 + 50..].to_vec();
    (seen.bytes, inner)
}

#[test]
fn outer_headers_are_those_of_the_device() {
    for frame in [udp4(A4, POD6, TTL, 53), udp6(A6, POD6_6, TTL, 53)] {
        let (bytes, _) = encapsulated(&frame);
        assert_eq!(bytes.len(), frame.len() + 50);
        let ip = Ipv4HeaderSlice::from_slice(&bytes[14..]).expect("an IPv4 header").to_header();
        assert_eq!((ip.source, ip.destination, ip.time_to_live, ip.protocol.0), (SELF4, NODE6, 64, 17));
        assert_eq!((ip.header_len(), usize::from(ip.total_len)), (20, bytes.len() - 14));
        assert!(ip.dont_fragment && !ip.more_fragments && ip.fragment_offset.value() == 0);
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        let udp = UdpHeaderSlice::from_slice(&bytes[34..]).expect("a UDP header");
        assert_eq!((udp.destination_port(), udp.checksum()), (8472, 0));
        assert_eq!(usize::from(udp.length()), bytes.len() - 34);
        assert!(udp.source_port() >= 0xc000, "{}", udp.source_port());
        assert_eq!(bytes[42..50], [8, 0, 0, 0, 0, 0, 1, 0], "VXLAN");
        assert_eq!(bytes[50..64], frame[..14], "the inner Ethernet header");
    }
}

#[test]
fn the_inner_packet_takes_a_hop_and_nothing_else() {
    let v4 = udp4(A4, POD6, TTL, 53);
    assert_eq!(encapsulated(&v4).1, udp4(A4, POD6, TTL - 1, 53)[14..]);
    let v6 = udp6(A6, POD6_6, TTL, 53);
    assert_eq!(encapsulated(&v6).1, udp6(A6, POD6_6, TTL - 1, 53)[14..]);
}

#[test]
fn a_flow_keeps_its_source_port_and_flows_spread() {
    let port = |port| encapsulated(&udp4(A4, POD6, TTL, port)).0[34..36].to_vec();
    assert_eq!(port(53), port(53));
    let mut ports: Vec<_> = (1..33).map(port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert!(ports.len() > 16, "{ports:?}");
}

#[test]
fn explicit_congestion_notification_shows_outside() {
    for (inner, outer) in [(0, 0), (1, 1), (2, 2), (3, 2), (0xb8, 0), (0xba, 2)] {
        let mut frame = udp4(A4, POD6, TTL, 53);
        frame[15] = inner;
        let (bytes, inside) = encapsulated(&frames::with_checksum(frame));
        assert_eq!((bytes[15], inside[1]), (outer, inner));
        // The traffic class lies across two octets.
        let mut frame = udp6(A6, POD6_6, TTL, 53);
        (frame[14], frame[15]) = (0x60 | inner >> 4, inner << 4);
        assert_eq!(encapsulated(&frame).0[15], outer, "IPv6");
    }
}

#[test]
fn fragments_and_options_travel_as_they_are() {
    for later in [false, true] {
        let frame = frames::fragment4(POD6, 53, later);
        let (_, inner) = encapsulated(&frame);
        assert_eq!(inner[..8], frame[14..22]);
        assert_eq!(inner[12..], frame[26..]);
    }
}

#[test]
fn what_needs_an_answer_goes_to_the_stack_as_it_is() {
    let mut bench = Bench::new();
    bench.check(FromPod, &udp4(A4, POD6, 1, 53), Passes(Outcome::Stack));
    bench.check(FromPod, &udp6(A6, POD6_6, 1, 53), Passes(Outcome::Stack));
    // 1,450 bytes of IP and one more.
    let large = |bytes: usize| {
        let mut frame = udp4(A4, POD6, TTL, 53);
        frame.resize(14 + bytes, 0);
        let [high, low] = u16::try_from(bytes).expect("it is short").to_be_bytes();
        (frame[16], frame[17]) = (high, low);
        frames::with_checksum(frame)
    };
    assert_eq!(encapsulated(&large(1450)).0.len(), 14 + 1500);
    bench.check(FromPod, &large(1451), Passes(Outcome::Stack));
}

#[test]
fn what_the_kernel_makes_no_room_for_goes_by_the_device() {
    // Segments of no kind that the kernel knows.
    let frame = frames::payload(A4, POD6, 53, &[0; 200]);
    let mut expected = frames::payload(A4, POD6, 53, &[0; 200]);
    expected[22] -= 1;
    let expected = frames::with_checksum(expected);
    Bench::new().with_gso(100).check(FromPod, &frame, Redirected(Outcome::Overlay, OVERLAY, &expected));
}

#[test]
fn a_program_says_what_it_did_and_nobody_else_may() {
    let mut bench = Bench::with_class(CLASS_A);
    assert_eq!(bench.see(FromPod, &udp4(A4, POD6, TTL, 53)).index, ENCAPSULATED);
    for said in [ENCAPSULATED, TUNNELLED] {
        bench.said(said);
        // The stack answers this one: it may go anywhere.
        assert_eq!(bench.see(FromPod, &udp4(A4, POD6, 1, 53)).index, 0);
        assert_eq!(bench.see(FromPod, &udp4(A4, OUTSIDE4, TTL, 53)).index, LEFT_TO_STACK);
        // Nor does another node, over a link that keeps what a kernel says of a packet.
        for frame in
            [udp4(OUTSIDE4, SELF4, TTL, 53), frames::tagged(&udp4(OUTSIDE4, SELF4, TTL, 53)), frames::other(0x88cc)]
        {
            assert_eq!(bench.see(FromNetdev, &frame).index, 0);
        }
    }
}

#[test]
fn what_a_program_encapsulated_leaves_and_what_looks_like_it_does_not() {
    let (frame, _) = encapsulated(&udp4(A4, POD6, TTL, 53));
    // The frame comes by A's link.
    let mut bench = Bench::with_class(ENCAPSULATED);
    bench.come_by(HERE);
    bench.check(ToNetdev, &frame, Passes(Outcome::Foreign));
    for (by, said) in [(HERE, 0), (THERE, LEFT_TO_STACK)] {
        let mut bench = Bench::with_class(said);
        bench.come_by(by);
        bench.check(ToNetdev, &frame, crate::run::Expected::Dropped(ferrule_common::Drop::TunnelFromPod));
    }
}
