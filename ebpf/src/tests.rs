//! Never loaded by the agent: programs behind wrappers that set what BPF_PROG_TEST_RUN cannot: a tunnel key, a class,
//! what another program said in `tc_index`.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::{__sk_buff, BPF_F_TUNINFO_IPV6, bpf_tunnel_key},
    helpers::bpf_skb_set_tunnel_key,
    macros::classifier,
    programs::TcContext,
};

/// `cb[1]` holds the outer family (4 or 6, 0 for no key), `cb[2]` the network identifier, `cb[3]` the last four octets
/// of the outer source in host byte order; an IPv6 one is `fd00::` and them.
#[classifier]
pub fn test_from_overlay(ctx: TcContext) -> i32 {
    let skb: *mut __sk_buff = ctx.skb.skb;
    // SAFETY: the context pointer is valid while the program runs.
    let (family, vni, source) = unsafe { ((*skb).cb[1], (*skb).cb[2], (*skb).cb[3]) };
    if family != 0 {
        // SAFETY: all-zero is a value of this struct of integers.
        let mut key: bpf_tunnel_key = unsafe { core::mem::zeroed() };
        key.tunnel_id = vni;
        let flags = if family == 4 {
            key.__bindgen_anon_3.local_ipv4 = source;
            0
        } else {
            key.__bindgen_anon_3.local_ipv6 = [0xfd_u32, 0, 0, source.to_be()];
            BPF_F_TUNINFO_IPV6
        };
        // SAFETY: `key` outlives the call and its size is given.
        unsafe { bpf_skb_set_tunnel_key(skb, &mut key, size_of::<bpf_tunnel_key>() as u32, u64::from(flags)) };
    }
    ferrule_ebpf::from_overlay(&ctx)
}

/// `cb[1]` holds the class of the filter, `cb[2]` what `tc_index` says, before and afterwards.
#[classifier]
pub fn test_from_pod(ctx: TcContext) -> i32 {
    let skb: *mut __sk_buff = ctx.skb.skb;
    // SAFETY: the context pointer is valid while the program runs, and these fields are a classifier's to write.
    unsafe { ((*skb).tc_classid, (*skb).tc_index) = ((*skb).cb[1], (*skb).cb[2]) };
    let action = ferrule_ebpf::from_pod(&ctx);
    // SAFETY: as above.
    unsafe { (*skb).cb[2] = (*skb).tc_index };
    action
}

/// Where the source port stands in an IPv4 packet without options.
const SOURCE_PORT: usize = 14 + 20;

/// Takes the next source port, which `cb[4]` counts: the packet then opens a flow.
#[inline(always)]
fn take_port(ctx: &TcContext) {
    // SAFETY: the context pointer is valid while the program runs, and `cb` is a classifier's to write.
    let port = unsafe {
        let cb = &mut (*ctx.skb.skb).cb;
        cb[4] += 1;
        cb[4] as u16
    };
    // Where it fails, the flow is an old one, and the figure too good.
    let _ = ctx.store(SOURCE_PORT, &port.to_be(), 0);
}

/// For benches: [`test_from_pod`] with a packet that opens a flow each time.
#[classifier]
pub fn time_first(ctx: TcContext) -> i32 {
    take_port(&ctx);
    // SAFETY: the context pointer is valid while the program runs, and the class is a classifier's to write.
    unsafe { (*ctx.skb.skb).tc_classid = (*ctx.skb.skb).cb[1] };
    ferrule_ebpf::from_pod(&ctx)
}

/// Flows that [`time_flows`] takes in turn.
const FLOWS: u32 = 100;

/// For benches: [`test_from_pod`] with packets of a hundred flows in turn.
#[classifier]
pub fn time_flows(ctx: TcContext) -> i32 {
    take_port(&ctx);
    // SAFETY: as in `time_first`.
    unsafe {
        let cb = &mut (*ctx.skb.skb).cb;
        if cb[4] >= FLOWS {
            cb[4] = 0;
        }
        (*ctx.skb.skb).tc_classid = cb[1];
    }
    ferrule_ebpf::from_pod(&ctx)
}

/// For benches: what [`time_first`] and [`time_flows`] do beside.
#[classifier]
pub fn time_wrapper(ctx: TcContext) -> i32 {
    take_port(&ctx);
    // SAFETY: as in `time_first`.
    unsafe { (*ctx.skb.skb).tc_classid = (*ctx.skb.skb).cb[1] };
    0
}

/// Beside the others, so that all of them share one object's maps.
#[classifier]
pub fn test_to_pod(ctx: TcContext) -> i32 {
    ferrule_ebpf::to_pod(&ctx)
}

/// `cb[1]` holds what `tc_index` says.
#[classifier]
pub fn test_to_overlay(ctx: TcContext) -> i32 {
    // SAFETY: as in [`test_from_pod`].
    unsafe { (*ctx.skb.skb).tc_index = (*ctx.skb.skb).cb[1] };
    ferrule_ebpf::to_overlay(&ctx)
}

/// `cb[1]` holds what `tc_index` says.
#[classifier]
pub fn test_to_netdev(ctx: TcContext) -> i32 {
    // SAFETY: as in [`test_from_pod`].
    unsafe { (*ctx.skb.skb).tc_index = (*ctx.skb.skb).cb[1] };
    ferrule_ebpf::to_netdev(&ctx)
}

/// `cb[2]` holds what `tc_index` says, before and afterwards.
#[classifier]
pub fn test_from_netdev(ctx: TcContext) -> i32 {
    let skb: *mut __sk_buff = ctx.skb.skb;
    // SAFETY: as in [`test_from_pod`].
    unsafe { (*skb).tc_index = (*skb).cb[2] };
    let action = ferrule_ebpf::from_netdev(&ctx);
    // SAFETY: as in [`test_from_pod`].
    unsafe { (*skb).cb[2] = (*skb).tc_index };
    action
}

/// As above.
#[classifier]
pub fn test_from_other(ctx: TcContext) -> i32 {
    ferrule_ebpf::from_other(&ctx)
}

/// As above.
#[classifier]
pub fn test_to_other(ctx: TcContext) -> i32 {
    ferrule_ebpf::to_other(&ctx)
}

/// As above.
#[classifier]
pub fn test_to_bare(ctx: TcContext) -> i32 {
    ferrule_ebpf::to_bare(&ctx)
}

/// As above.
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
