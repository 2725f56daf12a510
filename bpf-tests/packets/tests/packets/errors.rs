//! ICMP errors: who is believed about which packet.

use ferrule_common::{
    Drop, Outcome,
    Program::{FromNetdev, FromOverlay, FromPod, ToNetdev, ToPod},
    settings,
};

use crate::{
    extensions::extended,
    frames::{self, TTL, datagram, echo4, error4, large, too_large4, too_large6, udp6},
    run::{Bench, Outer},
    world::{A4, A6, B4, CLASS_A, HERE, NODE1, NODE1_6, OTHER_NETDEV, OUTSIDE4, OUTSIDE6, POD1, SELF4, SELF6},
};

const A: ([u8; 4], u16) = (A4, 40_000);
const UNRELATED: u32 = Drop::UnrelatedError as u32;
const STACK: u32 = Outcome::Stack as u32;
const VXLAN: u16 = 8472;

fn by_a(bench: &mut Bench, frame: &[u8]) -> u32 {
    bench.by(CLASS_A);
    bench.outcome(FromPod, frame).0
}

#[test]
fn a_pod_speaks_of_packets_that_it_got_and_of_no_others() {
    let mut bench = Bench::alone();
    // What its own node sent to it needs no flow.
    assert_eq!(by_a(&mut bench, &error4(A4, SELF4, &datagram((SELF4, 53), A))), STACK);
    assert_eq!(by_a(&mut bench, &too_large4(A4, SELF4, 552, &datagram((SELF4, 53), A))), STACK);
    for quoted in [
        large(true, 1400, VXLAN),
        datagram((SELF4, 53), (NODE1, 53)),
        datagram((OUTSIDE4, 53), (SELF4, 53)),
        datagram(A, (SELF4, 53)),
        echo4(SELF4, NODE1, 7, false),
        echo4(SELF4, B4, 7, false),
    ] {
        assert_eq!(by_a(&mut bench, &too_large4(A4, SELF4, 552, &quoted)), UNRELATED, "{quoted:02x?}");
        assert_eq!(by_a(&mut bench, &error4(A4, SELF4, &quoted)), UNRELATED, "{quoted:02x?}");
        assert_eq!(by_a(&mut bench, &error4(A4, OUTSIDE4, &quoted)), UNRELATED, "{quoted:02x?}");
        assert_eq!(by_a(&mut bench, &error4(A4, POD1, &quoted)), UNRELATED, "{quoted:02x?}");
    }
    assert_eq!(by_a(&mut bench, &frames::icmp4(A4, SELF4, 5, 1)), UNRELATED, "a redirect");
    assert_eq!(by_a(&mut bench, &frames::icmp6(A6, SELF6, 2, &[0; 40])), UNRELATED);
    assert_eq!(by_a(&mut bench, &too_large6(A6, SELF6, 1280, &udp6(SELF6, NODE1_6, TTL, VXLAN))), UNRELATED);
    assert_eq!(by_a(&mut bench, &too_large6(A6, SELF6, 1280, &udp6(SELF6, A6, TTL, 53))), STACK);
}

#[test]
fn a_pod_is_told_sizes_of_its_flows_alone() {
    let mut bench = Bench::alone();
    bench.come_by(OTHER_NETDEV);
    let (asked, echo) = (datagram(A, (OUTSIDE4, 80)), echo4(A4, OUTSIDE4, 7, false));
    for quoted in [&asked, &echo, &datagram(A, (B4, 9))] {
        assert_eq!(bench.outcome(ToPod, &too_large4(OUTSIDE4, A4, 552, quoted)).0, UNRELATED, "{quoted:02x?}");
    }
    assert_eq!(bench.outcome(ToPod, &too_large6(OUTSIDE6, A6, 1280, &udp6(A6, OUTSIDE6, TTL, 9))).0, UNRELATED);
    // Other errors of nothing change nothing; its policies decide.
    assert_eq!(bench.outcome(ToPod, &error4(OUTSIDE4, A4, &asked)).0, Outcome::Pod as u32);
    bench.come_by(0);
    for sent in [&asked, &echo, &udp6(A6, OUTSIDE6, TTL, 9)] {
        assert_eq!(by_a(&mut bench, sent), STACK);
    }
    bench.come_by(OTHER_NETDEV);
    for quoted in [&asked, &echo] {
        assert_eq!(bench.outcome(ToPod, &too_large4(OUTSIDE4, A4, 552, quoted)).0, Outcome::Pod as u32);
    }
    let told = too_large6(OUTSIDE6, A6, 1280, &udp6(A6, OUTSIDE6, TTL, 9));
    assert_eq!(bench.outcome(ToPod, &told).0, Outcome::Pod as u32);
}

fn told(bench: &mut Bench, frame: &[u8]) -> u32 {
    bench.come_by(HERE);
    let outcome = bench.outcome(FromNetdev, frame).0;
    bench.come_by(0);
    outcome
}

#[test]
fn what_is_said_of_the_tunnel_was_sent_and_leaves_room_for_ipv6() {
    let believed = Outcome::PathMtu as u32;
    let mut bench = Bench::alone();
    let (v4, v6) = (large(true, 1400, VXLAN), large(false, 1400, VXLAN));
    assert_eq!(told(&mut bench, &too_large4(OUTSIDE4, SELF4, 1400, &v4)), UNRELATED, "nothing was sent");
    assert_eq!(told(&mut bench, &too_large6(OUTSIDE6, SELF6, 1400, &v6)), UNRELATED, "nothing was sent");
    assert_eq!(bench.outcome(ToNetdev, &large(true, 100, VXLAN)).0, Outcome::Foreign as u32);
    assert_eq!(told(&mut bench, &too_large4(OUTSIDE4, SELF4, 1400, &v4)), UNRELATED, "nothing large was sent");
    for frame in [&v4, &v6] {
        assert_eq!(bench.outcome(ToNetdev, frame).0, Outcome::Foreign as u32);
    }
    for (mtu, expected) in [(1400, believed), (1330, believed), (1329, UNRELATED), (552, UNRELATED), (0, UNRELATED)] {
        assert_eq!(told(&mut bench, &too_large4(OUTSIDE4, SELF4, mtu, &v4)), expected, "{mtu}");
    }
    for (mtu, expected) in [(1400, believed), (1350, believed), (1349, UNRELATED), (1280, UNRELATED)] {
        assert_eq!(told(&mut bench, &too_large6(OUTSIDE6, SELF6, mtu, &v6)), expected, "{mtu}");
    }
    // Another source port than one that was used.
    let mut other = v4.clone();
    other[35] ^= 1;
    assert_eq!(told(&mut bench, &too_large4(OUTSIDE4, SELF4, 1400, &other)), UNRELATED);
}

#[test]
fn what_is_said_of_the_way_to_a_node_by_an_echo_leaves_room_for_ipv6() {
    let mut bench = Bench::alone();
    let echo = echo4(SELF4, NODE1, 7, false);
    assert_eq!(told(&mut bench, &too_large4(OUTSIDE4, SELF4, 552, &echo)), UNRELATED);
    assert_eq!(told(&mut bench, &too_large4(OUTSIDE4, SELF4, 1400, &echo)), Outcome::PathMtu as u32);
    let echo = frames::icmp6(SELF6, NODE1_6, 128, &[0; 8]);
    assert_eq!(told(&mut bench, &too_large6(OUTSIDE6, SELF6, 1280, &echo)), UNRELATED);
    // Of a connection the kernel knows what was sent; and what is said of others concerns no pod.
    let tcp = frames::segment((SELF4, 40_000), (NODE1, 10_250), frames::Tcp::Ack);
    assert_eq!(told(&mut bench, &too_large4(OUTSIDE4, SELF4, 1000, &tcp)), Outcome::PathMtu as u32);
    assert_eq!(
        told(&mut bench, &too_large4(OUTSIDE4, SELF4, 1000, &datagram((SELF4, 9), (OUTSIDE4, 9)))),
        Outcome::PathMtu as u32
    );
}

#[test]
fn what_comes_through_the_tunnel_is_believed_no_more() {
    let outer = Outer { family: 4, vni: settings::VNI, source: NODE1 };
    let mut bench = Bench::alone();
    bench.come_out(outer);
    let lie = too_large4(POD1, SELF4, 552, &large(true, 1400, VXLAN));
    assert_eq!(bench.outcome(FromOverlay, &lie).0, UNRELATED);
    let other = too_large4(POD1, SELF4, 1000, &datagram((SELF4, 9), (OUTSIDE4, 9)));
    assert_eq!(bench.outcome(FromOverlay, &other).0, STACK);
}

#[test]
fn no_extension_header_hides_the_tunnel() {
    let mut bench = Bench::alone();
    let hidden = extended(&large(false, 1400, VXLAN), &[60]);
    assert_eq!(told(&mut bench, &too_large6(OUTSIDE6, SELF6, 1400, &hidden)), UNRELATED);
}
