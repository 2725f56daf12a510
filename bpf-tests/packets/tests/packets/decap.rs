//! The tunnel's packets that a program takes out of it: exactly those that it would have put there, for pods that it reaches.
//! Everything else is left to the overlay device as it is.

use ferrule_common::{Outcome, Program::FromNetdev};

use crate::{
    frames::{self, TTL, other, udp4, udp6, with_checksum},
    run::{
        Bench,
        Expected::{Passes, Redirected},
    },
    world::{
        A4, A6, B4, B6, CLASS_B, LIMITED4, NODE1, NODE6, NODE6_SECOND, OUTSIDE4, POD1, POD2, POD6, POD6_6, SELF4,
        SELF4_SECOND, SELF6, STRAY1, THERE, UNOWNED4, UNUSED4, v6,
    },
};

/// Where headers stand in a frame of the tunnel's.
const IP: usize = 14;
const UDP: usize = IP + 20;
const VXLAN: usize = UDP + 8;
const ETHERNET: usize = VXLAN + 8;
const INNER: usize = ETHERNET + 14;

/// The MAC of the device that tests run on.
const OWN_MAC: [u8; 6] = [0; 6];

/// A frame in the tunnel between two nodes, as `encap` sends it.
fn tunnelled(inner: &[u8], source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    let payload = [&[8, 0, 0, 0, 0, 0, 1, 0], inner].concat();
    let mut frame = frames::payload(source, destination, 8472, &payload);
    frame[..6].copy_from_slice(&OWN_MAC);
    // No checksum.
    frame[UDP + 6..UDP + 8].copy_from_slice(&[0, 0]);
    frame
}

fn from_node6(inner: &[u8]) -> Vec<u8> {
    tunnelled(inner, NODE6, SELF4)
}

/// A program takes it out, and gives it to B.
#[track_caller]
fn opened(frame: &[u8]) {
    let mut expected = frame[..12].to_vec();
    expected.extend(&frame[ETHERNET + 12..]);
    Bench::new().check(FromNetdev, frame, Redirected(Outcome::Pod, THERE, &expected));
}

/// It is left to the device.
#[track_caller]
fn left(frame: &[u8]) {
    Bench::new().check(FromNetdev, frame, Passes(Outcome::Foreign));
}

/// [`left`], of the frame for B that would be opened, with a change.
#[track_caller]
fn left_if(change: impl Fn(&mut Vec<u8>)) {
    for inner in [udp4(POD6, B4, TTL, 53), udp6(POD6_6, B6, TTL, 53)] {
        let mut frame = from_node6(&inner);
        change(&mut frame);
        left(&frame);
    }
}

/// Sets both outer lengths to what is there.
fn fit(frame: &mut Vec<u8>) {
    let [high, low] = u16::try_from(frame.len() - IP).expect("it is short").to_be_bytes();
    (frame[IP + 2], frame[IP + 3]) = (high, low);
    let [high, low] = u16::try_from(frame.len() - UDP).expect("it is short").to_be_bytes();
    (frame[UDP + 4], frame[UDP + 5]) = (high, low);
    *frame = with_checksum(std::mem::take(frame));
}

#[test]
fn a_pod_of_the_sending_node_reaches_a_local_pod() {
    for inner in [udp4(POD6, B4, TTL, 53), udp4([10, 244, 8, 200], B4, 1, 53)] {
        opened(&from_node6(&inner));
    }
    // The node itself.
    opened(&from_node6(&udp4(NODE6, B4, TTL, 53)));
    opened(&from_node6(&frames::fragment_of(&udp4(POD6, B4, TTL, 53), 9, false)));
}

#[test]
fn an_ipv6_packet_comes_out_of_ipv4() {
    opened(&from_node6(&udp6(POD6_6, B6, TTL, 53)));
}

#[test]
fn the_outer_source_is_the_inner_sources_node() {
    let inner = udp4(POD6, B4, TTL, 53);
    for source in [NODE1, SELF4, POD6, OUTSIDE4, [0; 4], NODE6_SECOND] {
        left(&tunnelled(&inner, source, SELF4));
    }
    for source in [POD1, STRAY1, POD2, OUTSIDE4, UNOWNED4, UNUSED4, SELF4, A4, [10, 244, 11, 2]] {
        left(&from_node6(&udp4(source, B4, TTL, 53)));
    }
    for source in [v6(2, 2), v6(3, 2), v6(9, 9), v6(1, 77), A6, SELF6] {
        left(&from_node6(&udp6(source, B6, TTL, 53)));
    }
}

#[test]
fn it_comes_by_the_way_of_the_answer() {
    // Another address of this node's; nobody's.
    for destination in [SELF4_SECOND, NODE6] {
        let frame = tunnelled(&udp4(POD6, B4, TTL, 53), NODE6, destination);
        let action = Bench::new().see(FromNetdev, &frame).returned;
        assert_ne!(action, 7, "{destination:?}");
    }
    // Node 1 is reached by the overlay device.
    left(&tunnelled(&udp4(POD1, B4, TTL, 53), NODE1, SELF4));
    left_if(|frame| frame[0] = 2);
}

#[test]
fn whoever_is_no_pod_that_a_program_reaches_is_left_to_the_device() {
    for destination in [SELF4, UNUSED4, LIMITED4, POD1, OUTSIDE4, UNOWNED4] {
        left(&from_node6(&udp4(POD6, destination, TTL, 53)));
    }
    for destination in [SELF6, v6(1, 77), v6(2, 2)] {
        left(&from_node6(&udp6(POD6_6, destination, TTL, 53)));
    }
}

#[test]
fn every_field_is_what_a_program_writes() {
    left_if(|frame| frame[VXLAN] = 0);
    left_if(|frame| frame[VXLAN] = 0x88);
    for reserved in [1, 2, 3, 7] {
        left_if(|frame| frame[VXLAN + reserved] = 1);
    }
    for identifier in 4..7 {
        left_if(|frame| frame[VXLAN + identifier] ^= 2);
    }
    left_if(|frame| frame[UDP + 7] = 1);
    left_if(|frame| frame[UDP + 5] -= 1);
    left_if(|frame| frame[UDP + 5] += 1);
    left_if(|frame| frame[ETHERNET] |= 1);
    for ethertype in [[0x08, 0x06], [0x81, 0x00], [0x88, 0xa8], [0x88, 0xcc]] {
        left_if(|frame| frame[ETHERNET + 12..INNER].copy_from_slice(&ethertype));
    }
    left(&from_node6(&other(0x88cc)));
    // A router's congestion: the device puts it into the inner header.
    left_if(|frame| {
        frame[IP + 1] = 3;
        *frame = with_checksum(std::mem::take(frame));
    });
}

#[test]
fn the_inner_packet_fills_the_outer_one() {
    // Something behind either, and datagrams that the kernel took together.
    left_if(|frame| {
        frame.extend([0; 7]);
        fit(frame);
    });
    left_if(|frame| frame.extend([0; 7]));
    left_if(|frame| {
        let second = frame[UDP..].to_vec();
        frame.extend(second);
        fit(frame);
    });
}

#[test]
fn whatever_is_cut_short_is_left() {
    for inner in [udp4(POD6, B4, TTL, 53), udp6(POD6_6, B6, TTL, 53)] {
        let whole = from_node6(&inner);
        for length in UDP + 8..whole.len() {
            let mut frame = whole[..length].to_vec();
            fit(&mut frame);
            left(&frame);
        }
    }
}

#[test]
fn outer_fragments_and_options_are_left() {
    for place in [[0x20, 0], [0x20, 1], [0, 1]] {
        let mut frame = from_node6(&udp4(POD6, B4, TTL, 53));
        frame[IP + 6..IP + 8].copy_from_slice(&place);
        let action = Bench::new().see(FromNetdev, &with_checksum(frame)).returned;
        assert_ne!(action, 7, "{place:?}");
    }
    left_if(|frame| {
        frame.splice(UDP..UDP, [1, 1, 1, 0]);
        frame[IP] = 0x46;
        let [high, low] = u16::try_from(frame.len() - IP).expect("it is short").to_be_bytes();
        (frame[IP + 2], frame[IP + 3]) = (high, low);
    });
}

#[test]
fn what_policies_forbid_is_left_to_where_it_is_told() {
    let mut bench = Bench::alone();
    bench.table(5);
    let frame = from_node6(&udp4(POD6, B4, TTL, 53));
    let seen = bench.see(FromNetdev, &frame);
    assert_eq!(seen.returned, 7, "nothing isolates it");
    bench.word(CLASS_B, 5, 0, 2);
    bench.check(FromNetdev, &frame, Passes(Outcome::Foreign));
    bench.allow_anyone(5, crate::policed::Ports(17, 53, 16));
    bench.word(CLASS_B, 5, 0, 3);
    assert_eq!(bench.see(FromNetdev, &frame).returned, 7, "a policy allows it");
}

#[test]
fn over_ipv6_the_device_opens_everything() {
    let payload = [&[8, 0, 0, 0, 0, 0, 1, 0], &*udp4(POD6, B4, TTL, 53)].concat();
    left(&frames::payload6(v6(0, 16), SELF6, 8472, &payload));
}
