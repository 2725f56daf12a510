//! `fr_metrics`: what became of every packet, counted per program and CPU.

/// Who counts. The first factor of an index into `fr_metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Program {
    /// What a pod sends (ingress of its veth's host side).
    FromPod = 0,
    /// What the node's stack delivers to a pod (egress of its veth's host side).
    ToPod = 1,
    /// What arrives through the tunnel (ingress of the overlay device).
    FromOverlay = 2,
    /// What leaves through the tunnel (egress of the overlay device).
    ToOverlay = 3,
    /// What arrives on the node's own device.
    FromNetdev = 4,
    /// What leaves by the node's own device.
    ToNetdev = 5,
    /// What arrives on a device of the node that leads to no other node.
    FromOther = 6,
    /// What leaves by such a device.
    ToOther = 7,
    /// What leaves by such a device that has no Ethernet headers.
    ToBare = 8,
}

impl Program {
    /// All programs, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::FromPod,
        Self::ToPod,
        Self::FromOverlay,
        Self::ToOverlay,
        Self::FromNetdev,
        Self::ToNetdev,
        Self::FromOther,
        Self::ToOther,
        Self::ToBare,
    ];

    /// The program's name in the object, in bpftool and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FromPod => "from_pod",
            Self::ToPod => "to_pod",
            Self::FromOverlay => "from_overlay",
            Self::ToOverlay => "to_overlay",
            Self::FromNetdev => "from_netdev",
            Self::ToNetdev => "to_netdev",
            Self::FromOther => "from_other",
            Self::ToOther => "to_other",
            Self::ToBare => "to_bare",
        }
    }
}

macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum $name { $($(#[doc = $doc])+ $variant = $number,)+ }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in metrics and in the command line's tables.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// One sentence for operators.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

numbered! {
    /// Where a packet went that was not dropped. Numbers are stable: they index `fr_metrics`.
    Outcome {
        /// Handed to a pod of this node.
        Pod = 0, "pod";
        /// Encapsulated for another node.
        Overlay = 1, "overlay";
        /// Sent to another node's next hop as it is.
        Native = 2, "native";
        /// Left to the node's stack.
        Stack = 3, "stack";
        /// Answered in place (ARP, neighbour discovery).
        Answered = 4, "answered";
        /// Not a concern of Ferrule's: left as it is.
        Foreign = 5, "foreign";
        /// An ICMP error that says how large a packet to another node may be: left to the node's stack.
        PathMtu = 6, "path-mtu";
    }
}

numbered! {
    /// Why a packet was dropped. Numbers are stable: they index `fr_metrics`.
    Drop {
        /// Truncated, or a length that contradicts the packet's own.
        Malformed = 16, "malformed";
        /// Neither IPv4, IPv6 nor ARP.
        Ethertype = 17, "ethertype";
        /// A VLAN tag from a pod.
        Vlan = 18, "vlan";
        /// The source address is not the pod's own.
        SpoofedAddress = 19, "spoofed-address";
        /// The source MAC is not the pod's own.
        SpoofedMac = 20, "spoofed-mac";
        /// Multicast or broadcast that no pod network carries.
        Multicast = 21, "multicast";
        /// An ARP request or a neighbour solicitation for something other than the gateway.
        NeighborTarget = 22, "neighbor-target";
        /// An ARP reply or a neighbour advertisement for an address that is not the pod's own.
        SpoofedNeighbor = 23, "spoofed-neighbor";
        /// A router advertisement or a redirect from a pod.
        RouterAdvertisement = 24, "router-advertisement";
        /// VXLAN from a pod towards something that is not a pod, or that the node forwards under its own address.
        TunnelFromPod = 25, "tunnel-from-pod";
        /// An IPv6 header with an IPv4-mapped address.
        V4Mapped = 26, "v4-mapped";
        /// More IPv6 extension headers than are followed, or one that is not known.
        ExtensionHeaders = 27, "extension-headers";
        /// On the overlay device without a tunnel key, or with another network identifier.
        NotOverlay = 28, "not-overlay";
        /// The source does not belong to the node that the outer source is, or came by another device than leads there.
        WrongNode = 29, "wrong-node";
        /// An overlay packet for an address that is not of this node.
        NotHere = 30, "not-here";
        /// A local pod's address as the source of a packet from outside.
        LocalSource = 31, "local-source";
        /// A pod's address as the source of a packet that did not come through the tunnel.
        Unencapsulated = 32, "unencapsulated";
        /// An address of the cluster that nobody owns was about to leave the node.
        Unowned = 33, "unowned";
        /// The kernel refused the redirect or the tunnel key.
        Redirect = 34, "redirect";
        /// The node's stack delivered a packet to a pod's device that is not for that pod.
        NotThisPod = 35, "not-this-pod";
        /// The inner source of a packet into the tunnel is neither a local pod's nor this node's address.
        ForeignSource = 36, "foreign-source";
        /// Link-local traffic other than neighbour discovery and echo.
        LinkLocal = 37, "link-local";
        /// No policy allows it into the pod.
        PolicyIngress = 38, "policy-ingress";
        /// No policy allows the pod to send it.
        PolicyEgress = 39, "policy-egress";
        /// The pod's policy is not in force yet.
        PolicyUnknown = 40, "policy-unknown";
        /// The connection table is full of flows that live.
        ConntrackFull = 41, "conntrack-full";
        /// The pod's share of the connection table is full of flows that live.
        ConntrackShare = 42, "conntrack-share";
        /// A fragment whose first fragment was not seen before it.
        FragmentUnknown = 43, "fragment-unknown";
        /// For a Service's address, which no socket program translated and no kube-proxy of this node does.
        Service = 44, "service";
        /// For a loopback address, or for no address at all, from a pod.
        Loopback = 45, "loopback";
        /// The source's owner is not behind the device that the packet came by.
        WrongDevice = 46, "wrong-device";
        /// An ICMP error about a packet that its receiver did not send, or that its sender did not get.
        UnrelatedError = 47, "unrelated-error";
    }
}

/// Slots a program has in `fr_metrics`.
pub const SLOTS: u32 = 64;
/// Entries of `fr_metrics`.
pub const ENTRIES: u32 = crate::capacity::entries(16 * SLOTS);

/// The index into `fr_metrics` of `program`'s counter for an [`Outcome`]'s or a [`Drop`]'s number.
#[inline(always)]
#[must_use]
pub const fn index(program: Program, number: u32) -> u32 {
    program as u32 * SLOTS + number
}

value! {
    /// The value of `fr_metrics`, one for each CPU.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub struct Counter {
        /// Packets (a GSO packet counts once).
        pub packets: u64,
        /// Bytes, with the Ethernet header.
        pub bytes: u64,
    }
}
