//! The object that the agent loads: an entry point for each hook.
#![no_std]
#![no_main]

use aya_ebpf::{macros::classifier, programs::TcContext};

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
