//! Load for measuring: one client and one server on one CPU, in real-time order, so that nobody else runs in between.

mod connect;
mod ends;
mod exchange;
mod steady;
mod stream;

use std::{fmt, time::Duration};

use anyhow::{Context, Result};
pub use ends::{Ends, PORT};
pub use steady::{Spinners, ordinary, pin, prefer, steady};

/// What travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    /// One byte to and fro on a connection, one exchange after the other.
    TcpRr,
    /// One byte to and fro in datagrams, one exchange after the other.
    UdpRr,
    /// A connection for each exchange.
    TcpCrr,
    /// As much as goes through one connection.
    TcpStream,
}

impl Load {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TcpRr, Self::UdpRr, Self::TcpCrr, Self::TcpStream];

    /// What [`Load::measure`] counts.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::TcpRr | Self::UdpRr => "exchanges/s",
            Self::TcpCrr => "connections/s",
            Self::TcpStream => "Gbit/s",
        }
    }

    /// Sends for `duration`, with client and server on `cpu`; how much a second, in [`Load::unit`].
    ///
    /// # Errors
    /// Where the server is not reached, an answer does not come, or the scheduler refuses.
    pub fn measure(self, ends: Ends<'_>, cpu: usize, duration: Duration) -> Result<f64> {
        let rate = match self {
            Self::TcpRr => exchange::tcp(ends, cpu, duration),
            Self::UdpRr => exchange::udp(ends, cpu, duration),
            Self::TcpCrr => connect::run(ends, cpu, duration),
            Self::TcpStream => stream::run(ends, Some(cpu), duration),
        };
        rate.with_context(|| format!("{self} from {} to {}", ends.client.name(), ends.address))
    }
}

/// As much as goes through one connection for `duration`, whose ends run on whichever CPUs they get, as programs do: Gbit/s. Bursts
/// then meet queues that others fill.
///
/// # Errors
/// As of [`Load::measure`].
pub fn stream_at_will(ends: Ends<'_>, duration: Duration) -> Result<f64> {
    stream::run(ends, None, duration)
        .with_context(|| format!("a stream from {} to {}", ends.client.name(), ends.address))
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TcpRr => "tcp_rr",
            Self::UdpRr => "udp_rr",
            Self::TcpCrr => "tcp_crr",
            Self::TcpStream => "tcp_stream",
        })
    }
}
