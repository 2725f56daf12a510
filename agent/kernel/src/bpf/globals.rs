//! What the programs' read-only globals are set to at load.

use aya::EbpfLoader;
use ferrule_common::{layout, settings};
use nix::time::{ClockId, clock_getres, clock_gettime};

use super::{room, sys};
use crate::net::cookie;

/// What the operator decides of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The UDP port of the tunnel.
    pub vxlan_port: u16,
    /// Egress policies apply to a pod's own node.
    pub own_node_policed: bool,
    /// ClusterIPs are translated at the socket.
    pub services: bool,
    /// The bit of a packet's mark that says that its egress is not judged yet.
    pub mark: u32,
    /// The smallest packet, in bytes, that an ICMP error may ask of the tunnel.
    pub tunnel_floor: u32,
    /// How long a flow may be silent.
    pub timeouts: Timeouts,
    /// Flows that one endpoint may have.
    pub flow_share: u32,
    /// Flows that the connection table has room for.
    pub flow_entries: u32,
    /// Events that a CPU tells in a second.
    pub events_per_second: u32,
}

/// How long a flow may be silent, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// An established TCP connection.
    pub tcp: u32,
    /// A TCP connection whose originator has not acknowledged an answer, from its SYN.
    pub tcp_opening: u32,
    /// A TCP connection that has ended.
    pub tcp_closing: u32,
    /// A short exchange by UDP or SCTP.
    pub udp: u32,
    /// A lasting one.
    pub udp_stream: u32,
    /// Everything else.
    pub other: u32,
}

/// Values of `ferrule_common::settings`, in the programs' units.
#[derive(Debug, Clone, Copy)]
pub struct Globals {
    vxlan_port: u16,
    own_node_policed: u8,
    services_on: u8,
    set_retval: u8,
    owners_known: u8,
    mptcp_told: u8,
    opens_v6: u8,
    mark: u32,
    tunnel_floor: u32,
    jiffies: u32,
    tcp: u32,
    opening: u32,
    closing: u32,
    udp: u32,
    stream: u32,
    other: u32,
    share: u32,
    events: u32,
    entries: u32,
    queue: u32,
}

impl Globals {
    /// From what the operator decided and what the kernel can.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let jiffies = jiffies();
        let timeouts = settings.timeouts;
        let ticks = |seconds: u32| seconds.saturating_mul(jiffies);
        Self {
            vxlan_port: settings.vxlan_port,
            own_node_policed: settings.own_node_policed.into(),
            services_on: settings.services.into(),
            // Where it cannot be told, the older way works everywhere.
            set_retval: sys::accepts_set_retval().unwrap_or_default().into(),
            owners_known: cookie::is_told().into(),
            mptcp_told: sys::tells_mptcp().unwrap_or_default().into(),
            opens_v6: room::opens_v6().unwrap_or_default().into(),
            mark: settings.mark,
            tunnel_floor: settings.tunnel_floor,
            jiffies,
            tcp: ticks(timeouts.tcp),
            opening: ticks(timeouts.tcp_opening),
            closing: ticks(timeouts.tcp_closing),
            udp: ticks(timeouts.udp),
            stream: ticks(timeouts.udp_stream),
            other: ticks(timeouts.other),
            share: settings.flow_share,
            events: settings.events_per_second,
            entries: settings.flow_entries,
            queue: settings.flow_entries.saturating_add(layout::QUEUE_SLACK),
        }
    }

    /// The same beside a connection table that is there already: it keeps its size, of which shares are part.
    #[must_use]
    pub fn beside(self, entries: u32) -> Self {
        if entries == self.entries {
            return self;
        }
        tracing::warn!(
            entries,
            configured = self.entries,
            "conntrack-entries: the connection table keeps its size until a reboot or `ferrule-agent cleanup`"
        );
        let share = u64::from(self.share) * u64::from(entries) / u64::from(self.entries.max(1));
        Self { entries, share: u32::try_from(share).unwrap_or(u32::MAX).max(1), ..self }
    }

    /// Whether the node serves Services.
    #[must_use]
    pub const fn serves(&self) -> bool {
        self.services_on != 0
    }

    /// Sets them.
    pub fn apply<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader.override_global(settings::VXLAN_PORT, &self.vxlan_port, true);
        loader.override_global(settings::OWN_NODE_POLICED, &self.own_node_policed, true);
        loader.override_global(settings::SERVICES_ON, &self.services_on, true);
        loader.override_global(settings::SET_RETVAL, &self.set_retval, true);
        loader.override_global(settings::MPTCP_TOLD, &self.mptcp_told, true);
        loader.override_global(settings::OWNERS_KNOWN, &self.owners_known, true);
        loader.override_global(settings::OPENS_V6, &self.opens_v6, true);
        for (name, value) in [
            (settings::OPEN_MARK, &self.mark),
            (settings::TUNNEL_FLOOR, &self.tunnel_floor),
            (settings::JIFFIES, &self.jiffies),
            (settings::TIMEOUT_TCP, &self.tcp),
            (settings::TIMEOUT_OPENING, &self.opening),
            (settings::TIMEOUT_CLOSING, &self.closing),
            (settings::TIMEOUT_UDP, &self.udp),
            (settings::TIMEOUT_STREAM, &self.stream),
            (settings::TIMEOUT_OTHER, &self.other),
            (settings::FLOW_SHARE, &self.share),
            (settings::EVENTS_A_SECOND, &self.events),
        ] {
            loader.override_global(name, value, true);
        }
        loader.map_max_entries("fr_conntrack", self.entries);
        loader.map_max_entries("fr_flow_queue", self.queue);
    }
}

/// The kernel's ticks in a second (`CONFIG_HZ`): the coarse clock moves once a tick.
#[must_use]
pub fn jiffies() -> u32 {
    const USUAL: u32 = 250;
    let Ok(tick) = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE) else { return USUAL };
    let nanoseconds = u64::try_from(tick.tv_nsec()).unwrap_or_default();
    if nanoseconds == 0 {
        return USUAL;
    }
    u32::try_from((1_000_000_000 + nanoseconds / 2) / nanoseconds).unwrap_or(USUAL)
}

/// The kernel's jiffies, the low half, but for a tick or two: they start five minutes before they overflow.
#[must_use]
pub fn jiffies_now() -> u32 {
    const START_SECONDS: i64 = -300;
    let second = i64::from(jiffies());
    let since_start = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() * second + time.tv_nsec() * second / 1_000_000_000);
    let now = START_SECONDS * second + since_start;
    u32::try_from(now.rem_euclid(1 << 32)).unwrap_or_default()
}
