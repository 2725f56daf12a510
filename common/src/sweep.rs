//! What the agent asks of the program that sweeps `fr_conntrack`.

/// In `cb[0]`: only what has expired, and what has lost an end.
pub const STALE: u32 = 0;
/// In `cb[0]`: every flow.
pub const ALL: u32 = 1;
/// In `cb[0]`: every flow of an address, which is the source of the IPv6 packet that the program runs on.
pub const OF_ADDRESS: u32 = 2;
/// The program's name in the object.
pub const PROGRAM: &str = "sweep";
