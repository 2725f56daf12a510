//! The tunnel's outer addresses: set before a packet goes to the overlay device, read when one came from it.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{BPF_F_DONT_FRAGMENT, BPF_F_TUNINFO_IPV6, BPF_F_ZERO_CSUM_TX},
    helpers::{bpf_skb_get_tunnel_key, bpf_skb_set_tunnel_key},
    programs::TcContext,
};
use ferrule_common::{Address, Drop, peer::Node, settings};

/// The part of the kernel's `bpf_tunnel_key` that every version since 4.17 knows: up to the local addresses.
#[repr(C)]
#[derive(Clone, Copy)]
struct Key {
    id: u32,
    /// An IPv4 address is the first word, in host byte order; an IPv6 address is in network byte order.
    remote: [u32; 4],
    tos: u8,
    ttl: u8,
    flags: u16,
    label: u32,
}

/// All of it, as Linux 6.0 and newer know it.
#[repr(C)]
struct Sourced {
    key: Key,
    /// As [`Key::remote`].
    local: [u32; 4],
}

/// The outer TTL or hop limit.
const TTL: u8 = 64;

/// Names the node that the packet goes to, and the address that it comes from; with `::` for a source the kernel chooses.
/// False where this kernel takes no source: its routes have one.
#[inline(always)]
pub fn set(ctx: &TcContext, node: &Node) -> Result<bool, Drop> {
    // Without DONT_FRAGMENT the outer packet would be cut; what is too large was left to the stack before. The kernel
    // computes the UDP checksum over IPv6, where receivers refuse a zero one.
    let flags = if node.tunnel.is_v4() {
        BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT
    } else {
        BPF_F_TUNINFO_IPV6 | BPF_F_DONT_FRAGMENT
    };
    let source = node.source();
    let key = Key { id: settings::VNI, remote: words(&node.tunnel), tos: 0, ttl: TTL, flags: 0, label: 0 };
    let mut key = Sourced { key, local: words(source) };
    let sourced = *source != Address::UNSPECIFIED;
    let size = if sourced { size_of::<Sourced>() } else { size_of::<Key>() };
    // SAFETY: `key` outlives the call and has at least the size that is given.
    let result = unsafe { bpf_skb_set_tunnel_key(ctx.skb.skb, (&raw mut key).cast(), size as u32, u64::from(flags)) };
    if result == 0 {
        Ok(true)
    } else if sourced {
        Ok(false)
    } else {
        Err(Drop::Redirect)
    }
}

/// An address as the kernel's key has it.
#[inline(always)]
fn words(address: &Address) -> [u32; 4] {
    let words = address.words();
    if address.is_v4() { [u32::from_be(words[3]), 0, 0, 0] } else { words }
}

/// The node that the packet came from, by its outer source; checks the network identifier.
#[inline(always)]
pub fn source(ctx: &TcContext) -> Result<Address, Drop> {
    let mut key = MaybeUninit::uninit();
    let v4 = get(ctx, &mut key, 0);
    if !v4 && !get(ctx, &mut key, BPF_F_TUNINFO_IPV6) {
        return Err(Drop::NotOverlay);
    }
    // SAFETY: the helper filled all of it, since it succeeded.
    let key = unsafe { key.assume_init_ref() };
    if key.id != settings::VNI {
        return Err(Drop::NotOverlay);
    }
    Ok(if v4 { Address::v4(key.remote[0].to_be_bytes()) } else { Address::from_words(key.remote) })
}

/// Refused by the kernel where the outer family is not the one that `flags` says.
#[inline(always)]
fn get(ctx: &TcContext, key: &mut MaybeUninit<Key>, flags: u32) -> bool {
    // SAFETY: `key` outlives the call and has the size that is given.
    unsafe {
        bpf_skb_get_tunnel_key(ctx.skb.skb, key.as_mut_ptr().cast(), size_of::<Key>() as u32, u64::from(flags)) == 0
    }
}
