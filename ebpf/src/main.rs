//! The object that the agent loads: an entry point for each hook.
#![no_std]
#![no_main]

use aya_ebpf::{
    macros::{cgroup_sock, cgroup_sock_addr, classifier},
    programs::{SockAddrContext, SockContext, TcContext},
};

/// What a pod sends, seen on the host side of its veth (ingress).
#[classifier]
pub fn from_pod(ctx: TcContext) -> i32 {
    ferrule_ebpf::from_pod(&ctx)
}

/// What the node's stack delivers to a pod, on the host side of its veth (egress).
#[classifier]
pub fn to_pod(ctx: TcContext) -> i32 {
    ferrule_ebpf::to_pod(&ctx)
}

/// What arrives through the tunnel, decapsulated (ingress of the overlay device).
#[classifier]
pub fn from_overlay(ctx: TcContext) -> i32 {
    ferrule_ebpf::from_overlay(&ctx)
}

/// What is about to be encapsulated (egress of the overlay device).
#[classifier]
pub fn to_overlay(ctx: TcContext) -> i32 {
    ferrule_ebpf::to_overlay(&ctx)
}

/// What arrives on the node's own device (ingress).
#[classifier]
pub fn from_netdev(ctx: TcContext) -> i32 {
    ferrule_ebpf::from_netdev(&ctx)
}

/// What leaves by the node's own device (egress).
#[classifier]
pub fn to_netdev(ctx: TcContext) -> i32 {
    ferrule_ebpf::to_netdev(&ctx)
}

/// What arrives on a device that leads to no other node (ingress).
#[classifier]
pub fn from_other(ctx: TcContext) -> i32 {
    ferrule_ebpf::from_other(&ctx)
}

/// What leaves by a device that leads to no other node (egress).
#[classifier]
pub fn to_other(ctx: TcContext) -> i32 {
    ferrule_ebpf::to_other(&ctx)
}

/// What leaves by a device without Ethernet headers (egress).
#[classifier]
pub fn to_bare(ctx: TcContext) -> i32 {
    ferrule_ebpf::to_bare(&ctx)
}

/// A socket connects to an IPv4 address.
#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    ferrule_ebpf::connect::<true>(&ctx)
}

/// A socket connects to an IPv6 address, or to an IPv4 one that is mapped.
#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    ferrule_ebpf::connect::<false>(&ctx)
}

/// A UDP socket sends to an IPv4 address.
#[cgroup_sock_addr(sendmsg4)]
pub fn sendmsg4(ctx: SockAddrContext) -> i32 {
    ferrule_ebpf::sendmsg::<true>(&ctx)
}

/// A UDP socket sends to an IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
pub fn sendmsg6(ctx: SockAddrContext) -> i32 {
    ferrule_ebpf::sendmsg::<false>(&ctx)
}

/// A UDP socket is told which IPv4 address a datagram is from.
#[cgroup_sock_addr(recvmsg4)]
pub fn recvmsg4(ctx: SockAddrContext) -> i32 {
    ferrule_ebpf::recvmsg::<true>(&ctx)
}

/// A UDP socket is told which IPv6 address a datagram is from.
#[cgroup_sock_addr(recvmsg6)]
pub fn recvmsg6(ctx: SockAddrContext) -> i32 {
    ferrule_ebpf::recvmsg::<false>(&ctx)
}

/// A socket is told which IPv4 address it is connected to.
#[cgroup_sock_addr(getpeername4)]
pub fn getpeername4(ctx: SockAddrContext) -> i32 {
    ferrule_ebpf::getpeername::<true>(&ctx)
}

/// A socket is told which IPv6 address it is connected to.
#[cgroup_sock_addr(getpeername6)]
pub fn getpeername6(ctx: SockAddrContext) -> i32 {
    ferrule_ebpf::getpeername::<false>(&ctx)
}

/// A socket is closed.
#[cgroup_sock(sock_release)]
pub fn sock_release(ctx: SockContext) -> i32 {
    ferrule_ebpf::release(&ctx)
}

/// Attached nowhere: the agent runs it to remove flows that have expired.
#[classifier]
pub fn sweep(ctx: TcContext) -> i32 {
    ferrule_ebpf::sweep(&ctx)
}

/// The helpers that redirect are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
