//! What a packet is, above its addresses: its ports, or what stands for them, and the kind of message.

/// The ports of a packet, or what stands for them.
#[derive(Clone, Copy)]
pub struct Transport {
    /// The source port, or an echo's identifier, or 0; network byte order.
    pub source_port_be: u16,
    /// The destination port, or the same identifier, or 0; network byte order.
    pub destination_port_be: u16,
    /// One of the kinds below, with [`OPENS`], [`ENDS`] and [`RESETS`].
    pub message: u32,
}

/// TCP, UDP or SCTP.
pub const PORTS: u32 = 0;
/// An ICMP echo request.
pub const ECHO_REQUEST: u32 = 1;
/// An ICMP echo reply.
pub const ECHO_REPLY: u32 = 2;
/// Something without ports.
pub const BARE: u32 = 3;
/// An ICMP error, which quotes the packet that it is about.
pub const ERROR: u32 = 4;
/// The kinds above.
pub const KIND: u32 = 0xff;

/// TCP: a SYN without an ACK.
pub const OPENS: u32 = 1 << 8;
/// TCP: a FIN.
pub const ENDS: u32 = 1 << 9;
/// TCP: an RST.
pub const RESETS: u32 = 1 << 10;

impl Transport {
    /// Of a packet without ports.
    pub const NONE: Self = Self { source_port_be: 0, destination_port_be: 0, message: BARE };

    /// Both ports in one word.
    #[inline(always)]
    pub const fn ports(&self) -> u32 {
        self.source_port_be as u32 | (self.destination_port_be as u32) << 16
    }

    /// In one word, as functions pass it: the message above both ports.
    #[inline(always)]
    pub const fn told(self) -> u64 {
        self.ports() as u64 | (self.message as u64) << 32
    }

    /// From one word; none where it is [`MALFORMED`].
    #[inline(always)]
    pub const fn from_told(told: u64) -> Option<Self> {
        if told == MALFORMED {
            return None;
        }
        let (source_port_be, destination_port_be) = (told as u16, (told >> 16) as u16);
        Some(Self { source_port_be, destination_port_be, message: (told >> 32) as u32 })
    }
}

/// What `fr_transport` gives where there is no such header, in [`Transport::told`]'s place.
pub const MALFORMED: u64 = u64::MAX;

/// What an ICMP or ICMPv6 type means here.
#[inline(always)]
pub const fn message(v4: bool, kind: u8) -> u32 {
    match (v4, kind) {
        (true, 8) | (false, 128) => ECHO_REQUEST,
        (true, 0) | (false, 129) => ECHO_REPLY,
        // Destination unreachable, source quench, redirect, time exceeded, parameter problem.
        (true, 3..=5 | 11 | 12) | (false, 1..=4) => ERROR,
        _ => BARE,
    }
}
