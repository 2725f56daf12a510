//! What a pod sends.

use ferrule_common::{Drop, Outcome, Program::FromPod};

use crate::{
    frames::{self, TTL, routed, tcp, udp4, udp6},
    run::{
        Bench,
        Expected::{self, Dropped, Passes, Redirected},
    },
    world::{
        A4, A6, B4, B6, CLASS_A, CLASS_B, GATEWAY4, HOST_A, LIMITED4, NETDEV, NODE1, NODE1_6, NODE2, OTHER_MAC,
        OUTSIDE4, OUTSIDE6, OVERLAY, POD1, POD1_6, POD2, POD2_6, SECOND_A4, SELF4, SELF6, STRAY1, THERE, UNOWNED4,
        UNOWNED6, UNUSED4, v6,
    },
};

#[track_caller]
fn check(frame: &[u8], expected: Expected<'_>) {
    // Attached by TCX, by clsact, and by a filter that has another pod's class.
    for mut bench in [Bench::new(), Bench::with_class(CLASS_A), Bench::with_class(CLASS_B)] {
        bench.check(FromPod, frame, expected);
    }
}

#[track_caller]
fn goes(frame: &[u8], outcome: Outcome, target: u32) {
    // A hop is the way from one node to another.
    let received = if outcome == Outcome::Pod { frame.to_vec() } else { routed(frame) };
    check(frame, Redirected(outcome, target, &received));
}

#[test]
fn a_pod_of_this_node_is_reached_directly_with_its_hops_kept() {
    goes(&udp4(A4, B4, TTL, 53), Outcome::Pod, THERE);
    goes(&udp6(A6, B6, TTL, 53), Outcome::Pod, THERE);
    goes(&tcp(true, 1000), Outcome::Pod, THERE);
    goes(&tcp(false, 1000), Outcome::Pod, THERE);
}

#[test]
fn every_ttl_leaves_a_right_checksum() {
    let mut bench = Bench::new();
    for ttl in 2..=255 {
        let frame = udp4(A4, POD1, ttl, 53);
        bench.check(FromPod, &frame, Redirected(Outcome::Overlay, OVERLAY, &routed(&frame)));
    }
}

#[test]
fn a_pod_of_another_node_is_reached_through_the_tunnel() {
    goes(&udp4(A4, POD1, TTL, 53), Outcome::Overlay, OVERLAY);
    goes(&udp6(A6, POD1_6, TTL, 53), Outcome::Overlay, OVERLAY);
    // A pod outside its node's CIDR, and one behind a tunnel over IPv6.
    goes(&udp4(A4, STRAY1, TTL, 53), Outcome::Overlay, OVERLAY);
    goes(&udp4(A4, [10, 244, 5, 5], TTL, 53), Outcome::Overlay, OVERLAY);
}

#[test]
fn another_node_is_reached_through_the_tunnel_too() {
    goes(&udp4(A4, NODE1, TTL, 10_250), Outcome::Overlay, OVERLAY);
    goes(&udp6(A6, NODE1_6, TTL, 10_250), Outcome::Overlay, OVERLAY);
}

#[test]
fn a_pod_of_a_native_node_is_reached_by_its_next_hop() {
    goes(&udp4(A4, POD2, TTL, 53), Outcome::Native, NETDEV);
    goes(&udp6(A6, POD2_6, TTL, 53), Outcome::Native, NETDEV);
    goes(&udp4(A4, NODE2, TTL, 53), Outcome::Native, NETDEV);
}

#[test]
fn a_family_without_a_next_hop_is_left_to_the_stack() {
    goes(&udp4(A4, [10, 244, 6, 6], TTL, 53), Outcome::Native, NETDEV);
    check(&udp6(A6, v6(6, 6), TTL, 53), Passes(Outcome::Stack));
}

#[test]
fn what_nobody_else_forwards_is_left_to_the_stack() {
    for destination in [OUTSIDE4, SELF4, UNUSED4, UNOWNED4] {
        check(&udp4(A4, destination, TTL, 53), Passes(Outcome::Stack));
    }
    for destination in [OUTSIDE6, SELF6, v6(1, 77), UNOWNED6] {
        check(&udp6(A6, destination, TTL, 53), Passes(Outcome::Stack));
    }
}

#[test]
fn a_packet_without_a_hop_left_goes_to_the_stack_which_answers() {
    for destination in [POD1, POD2] {
        check(&udp4(A4, destination, 1, 53), Passes(Outcome::Stack));
        check(&udp4(A4, destination, 0, 53), Passes(Outcome::Stack));
    }
    for destination in [POD1_6, POD2_6] {
        check(&udp6(A6, destination, 1, 53), Passes(Outcome::Stack));
    }
    goes(&udp4(A4, B4, 1, 53), Outcome::Pod, THERE);
    goes(&udp6(A6, B6, 1, 53), Outcome::Pod, THERE);
}

#[test]
fn what_is_larger_than_the_path_goes_to_the_stack_which_answers() {
    // 1,450 bytes of IP and one more.
    goes(&tcp(true, 1410), Outcome::Pod, THERE);
    check(&tcp(true, 1411), Passes(Outcome::Stack));
    goes(&tcp(false, 1390), Outcome::Pod, THERE);
    check(&tcp(false, 1391), Passes(Outcome::Stack));
}

#[test]
fn a_gso_packet_is_judged_by_its_segments() {
    let (v4, v6) = (tcp(true, 3000), tcp(false, 3000));
    for (frame, size) in [(&v4, 1410), (&v6, 1390)] {
        let mut fits = Bench::new().with_gso(size);
        fits.check(FromPod, frame, Redirected(Outcome::Pod, THERE, frame));
        Bench::new().with_gso(size + 1).check(FromPod, frame, Passes(Outcome::Stack));
    }
}

#[test]
fn ipv4_options_and_fragments_are_forwarded() {
    goes(&frames::with_options(), Outcome::Pod, THERE);
    goes(&frames::fragment4(B4, 53, false), Outcome::Pod, THERE);
    goes(&frames::fragment4(B4, 53, true), Outcome::Pod, THERE);
    goes(&frames::fragment4(POD1, 53, true), Outcome::Overlay, OVERLAY);
}

#[test]
fn every_address_of_a_pod_is_its_own() {
    goes(&udp4(SECOND_A4, B4, TTL, 53), Outcome::Pod, THERE);
}

#[test]
fn a_pod_with_limited_bandwidth_sends_and_receives_by_the_stack() {
    for destination in [B4, POD1, POD2, OUTSIDE4] {
        check(&udp4(LIMITED4, destination, TTL, 53), Passes(Outcome::Stack));
    }
    check(&udp4(A4, LIMITED4, TTL, 53), Passes(Outcome::Stack));
    check(&udp4(LIMITED4, NODE1, TTL, 8472), Dropped(Drop::TunnelFromPod));
}

#[test]
fn a_source_that_is_not_the_pods_own_is_dropped() {
    for source in [B4, POD1, SELF4, OUTSIDE4, [0; 4], UNUSED4] {
        check(&udp4(source, B4, TTL, 53), Dropped(Drop::SpoofedAddress));
    }
    for source in [B6, POD1_6, SELF6, OUTSIDE6] {
        check(&udp6(source, B6, TTL, 53), Dropped(Drop::SpoofedAddress));
    }
}

#[test]
fn a_mac_that_is_not_the_pods_own_is_dropped() {
    for mac in [OTHER_MAC, HOST_A] {
        check(&frames::from_mac(udp4(A4, B4, TTL, 53), mac), Dropped(Drop::SpoofedMac));
        check(&frames::from_mac(udp6(A6, B6, TTL, 53), mac), Dropped(Drop::SpoofedMac));
        check(&frames::from_mac(udp4(A4, OUTSIDE4, TTL, 53), mac), Dropped(Drop::SpoofedMac));
    }
}

#[test]
fn a_pod_cannot_speak_vxlan_to_anything_but_a_pod() {
    for destination in [NODE1, SELF4, NODE2, OUTSIDE4] {
        check(&udp4(A4, destination, TTL, 8472), Dropped(Drop::TunnelFromPod));
        check(&frames::fragment4(destination, 8472, false), Dropped(Drop::TunnelFromPod));
    }
    check(&udp6(A6, NODE1_6, TTL, 8472), Dropped(Drop::TunnelFromPod));
    goes(&udp4(A4, B4, TTL, 8472), Outcome::Pod, THERE);
    goes(&udp4(A4, POD1, TTL, 8472), Outcome::Overlay, OVERLAY);
}

#[test]
fn multicast_broadcast_and_the_gateway_itself_are_dropped() {
    for destination in [[224, 0, 0, 251], [239, 1, 2, 3], [255; 4]] {
        check(&udp4(A4, destination, TTL, 5353), Dropped(Drop::Multicast));
    }
    check(&udp4(A4, GATEWAY4, TTL, 53), Dropped(Drop::LinkLocal));
    check(&udp6(A6, [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb], TTL, 5353), Dropped(Drop::Multicast));
}

#[test]
fn frames_that_are_not_ip_or_carry_a_tag_are_dropped() {
    for ethertype in [0x88cc, 0x8863, 0x0001, 0x8847, 0xffff] {
        check(&frames::other(ethertype), Dropped(Drop::Ethertype));
    }
    check(&frames::tagged(&udp4(A4, B4, TTL, 53)), Dropped(Drop::Vlan));
    check(&frames::tagged(&udp6(A6, B6, TTL, 53)), Dropped(Drop::Vlan));
}

#[test]
fn lengths_that_contradict_the_packet_are_dropped() {
    let change = |at: usize, bytes: &[u8]| {
        let mut frame = udp4(A4, B4, TTL, 53);
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };
    // Version 5; header of four words; total length below the header's, above the packet's, and zero.
    for frame in
        [change(14, &[0x55]), change(14, &[0x44]), change(16, &[0, 19]), change(16, &[5, 0]), change(16, &[0; 2])]
    {
        check(&frame, Dropped(Drop::Malformed));
    }
    // A header longer than the total length.
    check(&change(14, &[0x4f]), Dropped(Drop::Malformed));
    let mut v6 = udp6(A6, B6, TTL, 53);
    v6[18] = 5;
    check(&v6, Dropped(Drop::Malformed));
    let mut v6 = udp6(A6, B6, TTL, 53);
    v6[14] = 0x40;
    check(&v6, Dropped(Drop::Malformed));
}

#[test]
fn ipv4_mapped_addresses_are_not_ipv6() {
    let mapped = |v4: [u8; 4]| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]];
    check(&udp6(mapped(A4), mapped(B4), TTL, 53), Dropped(Drop::V4Mapped));
    check(&udp6(A6, mapped(B4), TTL, 53), Dropped(Drop::V4Mapped));
    check(&udp6(mapped(A4), B6, TTL, 53), Dropped(Drop::V4Mapped));
}
