//! What programs can do with a packet's headers here (`bpf_skb_adjust_room`). The verifier does not tell: programs are run that
//! try.

use std::{io, sync::LazyLock};

use super::sys;

/// `BPF_F_ADJ_ROOM_ENCAP_L2_ETH`, `BPF_F_ADJ_ROOM_NO_CSUM_RESET`, `…_ENCAP_L4_UDP`, `…_ENCAP_L3_IPV4`, `…_FIXED_GSO`.
const ENCAPSULATE: u64 = 0x40 | 0x20 | 0x10 | 0x2 | 0x1;
/// `BPF_F_ADJ_ROOM_ENCAP_L2(14)`, of the upper half.
const ENCAPSULATE_ETHERNET: u64 = 14 << 24;
/// `BPF_F_ADJ_ROOM_DECAP_L3_IPV6`, `…_NO_CSUM_RESET`, `…_FIXED_GSO`.
const DECAPSULATE_V6: u64 = 0x100 | 0x20 | 0x1;

/// r2 = bytes; r3 = `BPF_ADJ_ROOM_MAC`; r4 = flags; r0 = `bpf_skb_adjust_room`; exit
const fn program(bytes: i32, lower: u64, upper: u64) -> [u64; 6] {
    let bytes = (bytes.cast_unsigned() as u64) << 32 | 0x02b7;
    [bytes, 0x1_0000_03b7, lower << 32 | 0x0418, upper << 32, 0x32_0000_0085, 0x95]
}

/// Whether a program can put a packet into VXLAN over IPv4 as the device does, and tell the kernel where its headers are:
/// since Linux 5.12.
///
/// # Errors
/// The kernel's.
pub fn encapsulates() -> io::Result<bool> {
    sys::gives_zero(&program(50, ENCAPSULATE, ENCAPSULATE_ETHERNET), &ipv4_frame())
}

/// Whether a program can take an IPv6 packet out of IPv4: since Linux 6.3.
///
/// # Errors
/// The kernel's.
pub fn opens_v6() -> io::Result<bool> {
    sys::gives_zero(&program(-50, DECAPSULATE_V6, 0), &ipv4_frame())
}

/// A frame that is called IPv4, large enough to take an IPv6 packet and the tunnel's headers out of.
fn ipv4_frame() -> [u8; 128] {
    let mut frame = [0; 128];
    frame[12] = 8;
    frame
}

/// The answer, which stays what it is while the kernel runs.
static CAN: LazyLock<bool> = LazyLock::new(|| encapsulates().unwrap_or_default());

/// As [`encapsulates`], asked once; no where it cannot be told.
#[must_use]
pub fn can_encapsulate() -> bool {
    *CAN
}
