//! Whose address it is, and by which device it came: nobody speaks for a pod or for this node from elsewhere.

use ferrule_common::{
    Drop, Outcome,
    Program::{self, FromNetdev, FromOther, FromPod, ToBare, ToNetdev, ToOther, ToOverlay, ToPod},
    settings::DEFAULT_OPEN_MARK,
};

use crate::{
    frames::{TTL, fragment4, udp4, udp6},
    policed::Ports,
    run::Bench,
    world::{
        A4, A6, B4, B6, CLASS_A, HERE, NODE1, NODE1_6, NODE2, OTHER_NETDEV, OUTSIDE4, OUTSIDE6, OVERLAY, POD1, POD1_6,
        POD2, POD2_6, SELF4, SELF6, THERE, UNUSED4, make_foreign, v6,
    },
};

/// A device that carries no program: a second network card, somebody else's bridge.
const UNGUARDED: u32 = 123;
const VXLAN: u16 = 8472;

#[track_caller]
fn check(program: Program, by: u32, frame: &[u8], expected: u32) {
    let mut bench = Bench::alone();
    bench.come_by(by);
    assert_eq!(bench.outcome(program, frame).0, expected, "{} by {by}: {frame:02x?}", program.name());
}

const WRONG: u32 = Drop::WrongDevice as u32;

#[test]
fn a_local_pods_address_comes_by_its_own_link() {
    for (source, wanted) in [(B4, Outcome::Pod as u32), (B4, WRONG)] {
        let by = if wanted == WRONG { UNGUARDED } else { HERE };
        check(ToPod, by, &udp4(source, A4, TTL, 53), wanted);
    }
    for by in [UNGUARDED, OTHER_NETDEV, OVERLAY, THERE] {
        check(ToPod, by, &udp6(B6, A6, TTL, 53), WRONG);
        check(ToOverlay, by, &udp4(A4, POD1, TTL, 53), WRONG);
        check(ToOverlay, by, &udp6(A6, POD1_6, TTL, 53), WRONG);
        check(ToNetdev, by, &udp4(A4, POD2, TTL, 53), WRONG);
        check(ToNetdev, by, &udp6(A6, OUTSIDE6, TTL, 53), WRONG);
    }
    check(ToOverlay, HERE, &udp4(A4, POD1, TTL, 53), Outcome::Overlay as u32);
    check(ToOverlay, HERE, &udp6(A6, POD1_6, TTL, 53), Outcome::Overlay as u32);
    check(ToNetdev, HERE, &udp4(A4, OUTSIDE4, TTL, 53), Outcome::Foreign as u32);
    check(ToNetdev, HERE, &udp6(A6, POD2_6, TTL, 53), Outcome::Foreign as u32);
}

#[test]
fn another_nodes_pod_comes_by_the_device_that_leads_there() {
    let behind_other = [10, 244, 7, 7];
    for by in [UNGUARDED, OTHER_NETDEV, THERE] {
        check(ToPod, by, &udp4(POD1, A4, TTL, 53), WRONG);
        check(ToPod, by, &udp6(POD1_6, A6, TTL, 53), WRONG);
        check(ToNetdev, by, &udp4(POD1, OUTSIDE4, TTL, 53), WRONG);
    }
    check(ToPod, OVERLAY, &udp4(POD1, A4, TTL, 53), Outcome::Pod as u32);
    check(ToPod, OVERLAY, &udp6(POD1_6, A6, TTL, 53), Outcome::Pod as u32);
    check(ToNetdev, OVERLAY, &udp4(POD1, OUTSIDE4, TTL, 53), Outcome::Foreign as u32);
    check(ToPod, OTHER_NETDEV, &udp4(behind_other, A4, TTL, 53), Outcome::Pod as u32);
    check(ToPod, UNGUARDED, &udp4(behind_other, A4, TTL, 53), WRONG);
    check(ToPod, UNGUARDED, &udp6(v6(7, 7), A6, TTL, 53), WRONG);
}

#[test]
fn an_unused_address_of_this_nodes_pods_does_not_come_by_the_nodes_link() {
    for destination in [B4, POD1, POD2, OUTSIDE4] {
        check(FromNetdev, HERE, &udp4(UNUSED4, destination, TTL, 53), Drop::LocalSource as u32);
    }
    check(FromNetdev, HERE, &udp6(v6(1, 77), POD1_6, TTL, 53), Drop::LocalSource as u32);
    check(FromNetdev, HERE, &udp4([10, 244, 2, 77], POD2, TTL, 53), Drop::Unencapsulated as u32);
    // A former plugin's pod may have it.
    for by in [0, UNGUARDED] {
        check(ToPod, by, &udp4(UNUSED4, A4, TTL, 53), Outcome::Pod as u32);
        check(ToOverlay, by, &udp4(UNUSED4, POD1, TTL, 53), Outcome::Overlay as u32);
    }
}

#[test]
fn another_device_carries_nobodys_address() {
    for (frame, expected) in [
        (udp4(B4, A4, TTL, 53), Drop::LocalSource),
        (udp6(B6, OUTSIDE6, TTL, 53), Drop::LocalSource),
        (udp6(SELF6, A6, TTL, 53), Drop::LocalSource),
        (udp4(POD1, A4, TTL, 53), Drop::WrongDevice),
        (udp4([10, 244, 2, 77], OUTSIDE4, TTL, 53), Drop::WrongDevice),
        (udp6(v6(7, 7), A6, TTL, 53), Drop::WrongDevice),
    ] {
        check(FromOther, HERE, &frame, expected as u32);
    }
    for frame in
        [udp4(OUTSIDE4, A4, TTL, 53), udp4(NODE1, A4, TTL, 53), udp4(UNUSED4, A4, TTL, 53), udp6(POD2_6, A6, TTL, 53)]
    {
        check(FromOther, HERE, &frame, Outcome::Foreign as u32);
    }
}

#[test]
fn what_leaves_by_another_device_was_judged() {
    for program in [ToOther, ToBare] {
        let mut bench = Bench::alone();
        bench.table(6);
        bench.word(CLASS_A, 0, 6, 2);
        bench.come_by(HERE);
        bench.mark(DEFAULT_OPEN_MARK | 0x4000);
        let carried = udp4(SELF4, OUTSIDE4, TTL, 53);
        assert_eq!(bench.outcome(program, &carried).0, Drop::PolicyEgress as u32, "{}", program.name());
        bench.word(CLASS_A, 0, 0, 3);
        assert_eq!(bench.outcome(program, &carried), (Outcome::Foreign as u32, 0x4000), "{}", program.name());
    }
    let mut bench = Bench::alone();
    bench.allow_anyone(6, Ports(17, 53, 16));
    bench.word(CLASS_A, 0, 6, 2);
    bench.come_by(HERE);
    bench.mark(DEFAULT_OPEN_MARK);
    assert_eq!(bench.outcome(ToOther, &udp4(A4, OUTSIDE4, TTL, 53)).0, Outcome::Foreign as u32);
    check(ToOther, UNGUARDED, &udp4(A4, OUTSIDE4, TTL, 53), WRONG);
    check(ToOther, HERE, &udp4(SELF4, NODE1, TTL, VXLAN), Drop::TunnelFromPod as u32);
}

#[test]
fn the_nodes_own_address_may_be_what_masquerading_gave() {
    for by in [UNGUARDED, OTHER_NETDEV, THERE] {
        check(ToPod, by, &udp4(SELF4, A4, TTL, 53), Outcome::Pod as u32);
        check(ToOverlay, by, &udp4(SELF4, POD1, TTL, 53), Outcome::Overlay as u32);
        check(ToNetdev, by, &udp4(SELF4, OUTSIDE4, TTL, 53), Outcome::Foreign as u32);
    }
    // On a device with programs nothing is masqueraded yet.
    check(FromNetdev, HERE, &udp6(SELF6, NODE1_6, TTL, 53), Drop::LocalSource as u32);
    check(FromNetdev, HERE, &udp6(SELF6, OUTSIDE6, TTL, 53), Drop::LocalSource as u32);
}

#[test]
fn nobodys_address_may_come_from_anywhere() {
    for by in [UNGUARDED, OTHER_NETDEV] {
        check(ToPod, by, &udp4(OUTSIDE4, A4, TTL, 53), Outcome::Pod as u32);
        check(ToPod, by, &udp4(NODE1, A4, TTL, 53), Outcome::Pod as u32);
        check(ToNetdev, by, &udp6(OUTSIDE6, POD2_6, TTL, 53), Outcome::Foreign as u32);
    }
}

#[test]
fn a_pod_behind_another_plugins_bridge_comes_by_that() {
    let mut bench = Bench::alone();
    make_foreign(bench.ebpf());
    for (by, expected) in [(UNGUARDED, Outcome::Foreign as u32), (THERE, WRONG)] {
        bench.come_by(by);
        assert_eq!(bench.outcome(ToNetdev, &udp4(A4, OUTSIDE4, TTL, 53)).0, expected, "by {by}");
        // The bridge's own address, which masquerading gives to what it forwards.
        assert_eq!(bench.outcome(ToPod, &udp4(UNUSED4, A4, TTL, 53)).0, Outcome::Pod as u32, "by {by}");
    }
}

#[test]
fn only_the_tunnel_itself_speaks_vxlan_as_this_node() {
    let tunnel = Drop::TunnelFromPod as u32;
    for by in [HERE, THERE, UNGUARDED, OTHER_NETDEV] {
        check(ToNetdev, by, &udp4(SELF4, NODE1, TTL, VXLAN), tunnel);
        check(ToNetdev, by, &udp6(SELF6, NODE1_6, TTL, VXLAN), tunnel);
        check(ToNetdev, by, &fragment4(NODE1, VXLAN, false), if [HERE, THERE].contains(&by) { tunnel } else { WRONG });
    }
    // Whatever NAT made of a pod's packet.
    check(ToNetdev, HERE, &udp4(OUTSIDE4, NODE1, TTL, VXLAN), tunnel);
    check(ToNetdev, 0, &udp4(SELF4, NODE1, TTL, VXLAN), Outcome::Foreign as u32);
    // A guest of this host may be a node with a tunnel of its own.
    check(ToNetdev, UNGUARDED, &udp4(NODE2, NODE1, TTL, VXLAN), Outcome::Foreign as u32);
    check(ToNetdev, UNGUARDED, &udp4(OUTSIDE4, NODE1, TTL, VXLAN), Outcome::Foreign as u32);
}

#[test]
fn the_tunnels_port_hides_nobody_who_uses_the_node_as_a_router() {
    for destination in [POD1, POD2, NODE1, OUTSIDE4] {
        check(FromNetdev, HERE, &udp4(A4, destination, TTL, VXLAN), Drop::LocalSource as u32);
        check(FromNetdev, HERE, &udp4(POD1, destination, TTL, VXLAN), Drop::Unencapsulated as u32);
    }
    check(FromNetdev, HERE, &udp6(A6, POD1_6, TTL, VXLAN), Drop::LocalSource as u32);
    check(FromNetdev, HERE, &udp4(NODE1, SELF4, TTL, VXLAN), Outcome::Foreign as u32);
    check(FromNetdev, HERE, &udp6(NODE1_6, SELF6, TTL, VXLAN), Outcome::Foreign as u32);
}

#[test]
fn a_pod_reaches_no_loopback_address() {
    let mut bench = Bench::alone();
    for destination in [[127, 0, 0, 1], [127, 255, 255, 255], [0, 0, 0, 0], [0, 1, 2, 3]] {
        assert_eq!(bench.outcome(FromPod, &udp4(A4, destination, TTL, 53)).0, Drop::Loopback as u32, "{destination:?}");
    }
    for last in [0, 1] {
        let mut destination = [0; 16];
        destination[15] = last;
        assert_eq!(bench.outcome(FromPod, &udp6(A6, destination, TTL, 53)).0, Drop::Loopback as u32, "{last}");
    }
    let mut other = [0; 16];
    other[15] = 2;
    for frame in [udp4(A4, [128, 0, 0, 1], TTL, 53), udp4(A4, [1, 0, 0, 1], TTL, 53), udp6(A6, other, TTL, 53)] {
        assert_eq!(bench.outcome(FromPod, &frame).0, Outcome::Stack as u32);
    }
    assert_eq!(bench.outcome(FromPod, &udp4(A4, B4, TTL, 53)).0, Outcome::Pod as u32);
}

/// The same packet as a device without Ethernet headers has it.
fn bare(frame: &[u8]) -> Vec<u8> {
    [&frame[14..], &[0; 14]].concat()
}

#[test]
fn no_pod_speaks_vxlan_by_a_device_without_ethernet_headers() {
    // The kernel's test run takes the first bytes for an Ethernet header, and the protocol from it.
    let mut bench = Bench::alone();
    let mut frame = bare(&udp4(SELF4, NODE1, TTL, VXLAN));
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    for (by, expected) in [(HERE, Drop::TunnelFromPod as u32), (UNGUARDED, Outcome::Foreign as u32)] {
        bench.come_by(by);
        assert_eq!(bench.outcome(ToBare, &frame).0, expected, "by {by}");
    }
    bench.come_by(HERE);
    let mut other = bare(&udp4(SELF4, NODE1, TTL, 53));
    other[12..14].copy_from_slice(&[0x08, 0x00]);
    assert_eq!(bench.outcome(ToBare, &other).0, Outcome::Foreign as u32);
}
