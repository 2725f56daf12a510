//! Services: `fr_services`, `fr_backends`, `fr_svc_members`, `fr_affinity`, `fr_svc_socks` and `fr_svc_tcp`; who may hold how
//! much of the latter three is in [`crate::owner`].
//!
//! ```text
//! address, port, protocol ── fr_services ──▶ set, count, affinity (one word)
//! set, a place below count ── fr_backends ──▶ a backend
//! set, backend ── fr_svc_members ──▶ it is still there (of UDP ports, and where clients keep their backend)
//! client, address, port, protocol ── fr_affinity ──▶ the backend that it had last
//! socket ── fr_svc_socks (UDP), fr_svc_tcp ──▶ what it asked for, and who answers
//! ```
//! A set is written under a number that nothing names, and keeps that number's meaning until no word and no program on
//! its way can name it.

use crate::Address;

value! {
    /// The key of `fr_services`. Port and protocol 0: the address itself, whose other ports are refused.
    /// [`FrontendKey::UNSEEN`]: [`PortWord::STACK`], where it is there.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct FrontendKey {
        /// The Service's address.
        pub address: Address,
        /// The Service's port, network byte order.
        pub port_be: u16,
        /// The protocol's number.
        pub protocol: u8,
        /// Zero.
        pub pad: u8,
    }
}

impl FrontendKey {
    /// A Service's port.
    #[inline(always)]
    #[must_use]
    pub const fn port(address: Address, port_be: u16, protocol: u8) -> Self {
        Self { address, port_be, protocol, pad: 0 }
    }

    /// A Service's address.
    #[inline(always)]
    #[must_use]
    pub const fn address(address: Address) -> Self {
        Self::port(address, 0, 0)
    }

    /// No Service's.
    pub const NONE: Self = Self::address(Address::UNSPECIFIED);

    /// What becomes of packets that no socket program saw. No socket asks for this protocol number, which is reserved.
    pub const UNSEEN: Self = Self::port(Address::UNSPECIFIED, 0, 255);
}

/// The value of `fr_services`: which set, how many backends it has, how long a client keeps its backend.
///
/// One aligned word, since a program that loads it must see all of it as it was at one moment.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortWord(pub u64);

/// Bits of a set's number in a [`PortWord`].
pub const SET_BITS: u32 = 24;
/// Bits of the count of backends in a [`PortWord`].
pub const COUNT_BITS: u32 = 16;
/// Bits of the affinity in a [`PortWord`]: a day in seconds fits.
pub const AFFINITY_BITS: u32 = 17;

const SET_MASK: u64 = (1 << SET_BITS) - 1;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const AFFINITY_MASK: u64 = (1 << AFFINITY_BITS) - 1;

impl PortWord {
    /// Of [`FrontendKey::UNSEEN`]: the host's stack translates them. Without it they are refused.
    pub const STACK: Self = Self(1 << 63);
    /// Of an address.
    pub const ADDRESS: Self = Self(0);

    /// From its parts; higher bits of a part are cut off.
    #[must_use]
    pub const fn new(set: u32, count: u32, affinity: u32) -> Self {
        Self(
            (set as u64 & SET_MASK)
                | (count as u64 & COUNT_MASK) << SET_BITS
                | (affinity as u64 & AFFINITY_MASK) << (SET_BITS + COUNT_BITS),
        )
    }

    /// The set's number; 0 where there are no backends.
    #[inline(always)]
    #[must_use]
    pub const fn set(self) -> u32 {
        (self.0 & SET_MASK) as u32
    }

    /// How many backends; 0: refused.
    #[inline(always)]
    #[must_use]
    pub const fn count(self) -> u32 {
        (self.0 >> SET_BITS & COUNT_MASK) as u32
    }

    /// For how many seconds a client keeps its backend; 0: for one connection.
    #[inline(always)]
    #[must_use]
    pub const fn affinity(self) -> u32 {
        (self.0 >> (SET_BITS + COUNT_BITS) & AFFINITY_MASK) as u32
    }
}

value! {
    /// The key of `fr_backends`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct BackendKey {
        /// The set's number.
        pub set: u32,
        /// The place in it, from 0.
        pub place: u32,
    }
}

value! {
    /// An address with a port: the value of `fr_backends`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Backend {
        /// The address.
        pub address: Address,
        /// The port, network byte order.
        pub port_be: u16,
        /// Zero.
        pub pad: u16,
    }
}

impl Backend {
    /// From its parts.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Address, port_be: u16) -> Self {
        Self { address, port_be, pad: 0 }
    }

    /// Nobody.
    pub const NONE: Self = Self::new(Address::UNSPECIFIED, 0);
}

value! {
    /// The key of `fr_svc_members`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct MemberKey {
        /// The set's number.
        pub set: u32,
        /// One of its backends.
        pub backend: Backend,
    }
}

value! {
    /// The value of `fr_svc_members`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Member {
        /// Its place in the set.
        pub place: u32,
    }
}

value! {
    /// The key of `fr_affinity`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct AffinityKey {
        /// The cookie of the client's network namespace, low half first: a pod, or the node.
        pub client: [u32; 2],
        /// What it asks for.
        pub frontend: FrontendKey,
    }
}

value! {
    /// The value of `fr_affinity`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Affinity {
        /// The backend that it had last.
        pub backend: Backend,
        /// When: the low half of the kernel's jiffies.
        pub seen: u32,
        /// Whose share the entry counts in, as in [`Socket::owner`].
        pub owner: [u32; 2],
    }
}

value! {
    /// The key of `fr_svc_socks` and of `fr_svc_tcp`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct SocketKey {
        /// The socket's cookie, low half first; for [`MASTER`] where the kernel has it, as far from a map of ours.
        pub cookie: [u32; 2],
        /// For [`ANSWER`]: who answers. Else `::` and 0.
        pub backend: Backend,
        /// [`CONNECTED`], a place from 1 to [`PLACES`], [`ANSWER`] or [`MASTER`].
        pub place: u32,
    }
}

value! {
    /// The value of `fr_svc_socks` and of `fr_svc_tcp`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Socket {
        /// What the socket asked for; of an [`ANSWER`], what it asked last of this backend: [`FrontendKey::NONE`] where that
        /// was the backend itself.
        pub frontend: FrontendKey,
        /// Who answers.
        pub backend: Backend,
        /// The set that the backend was last known to be in.
        pub set: u32,
        /// At [`CONNECTED`]: 1 once the socket has sent without being connected, so that other places may be in use.
        pub loose: u32,
        /// Whose share the entry counts in: a network namespace's cookie, low half first, [`crate::owner::STRANGERS`] or
        /// [`crate::owner::NOBODY`].
        pub owner: [u32; 2],
    }
}

/// [`SocketKey::place`]: the Service that the socket is connected to; its backend is `::` where it is to none.
pub const CONNECTED: u32 = 0;
/// Services that one socket may send to without being connected, before it forgets one; places from 1.
pub const PLACES: u32 = 32;
/// Backends that are looked at for one by which the socket asked no other Service.
pub const TRIES: u32 = 4;
/// [`SocketKey::place`]: which Service an answer belongs to.
pub const ANSWER: u32 = u32::MAX;

/// [`SocketKey::place`]: what a socket of MPTCP is connected to.
pub const MASTER: u32 = u32::MAX - 1;

/// The names of the socket programs in the object, in the order in which they are attached: what an answer needs first.
pub const PROGRAMS: [&str; 9] = [
    "sock_release",
    "recvmsg4",
    "recvmsg6",
    "getpeername4",
    "getpeername6",
    "sendmsg4",
    "sendmsg6",
    "connect4",
    "connect6",
];
