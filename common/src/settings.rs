//! What is fixed when the programs are loaded: read-only globals, so that the verifier prunes what is off.

/// The overlay's VXLAN network identifier, in all packets of all nodes.
pub const VNI: u32 = 1;
/// The global that holds the VXLAN port, a `u16` in host byte order.
pub const VXLAN_PORT: &str = "VXLAN_PORT";
/// The default of [`VXLAN_PORT`].
pub const DEFAULT_VXLAN_PORT: u16 = 8472;

/// Every pod's IPv4 gateway (RFC 3927), on link, answered by `from_pod`.
pub const GATEWAY_V4: [u8; 4] = [169, 254, 1, 1];
/// Every pod's IPv6 gateway, `fe80::1`, on link, answered by `from_pod`.
pub const GATEWAY_V6: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
