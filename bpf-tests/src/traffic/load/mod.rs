//! Load for measuring: one client and one server on one CPU, in real-time order, so that nobody else runs in between.

mod connect;
mod exchange;
mod steady;
mod stream;

pub use steady::{Spinners, ordinary, pin, prefer, steady};

use std::{fmt, net::IpAddr, time::Duration};

use anyhow::{Context, Result};

use crate::topology::Netns;

/// The port that a load's server listens at.
pub const PORT: u16 = 7008;

/// How long a socket waits for what should come in microseconds, before the load fails.
const LIMIT: Duration = Duration::from_secs(2);

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

/// Who sends to whom.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'a> {
    /// Where the client is.
    pub client: &'a Netns,
    /// Where the server is.
    pub server: &'a Netns,
    /// The server's address.
    pub address: IpAddr,
    /// The address that the client asks for: the server's own, or a Service's.
    pub asked: IpAddr,
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

/// Serves with `serve` beside `ask`; what both came to. The client's failure tells more than the server's, which has
/// waited for it in vain.
fn beside<S: Send, C>(serve: impl FnOnce() -> Result<S> + Send, ask: impl FnOnce() -> Result<C>) -> Result<(S, C)> {
    std::thread::scope(|scope| {
        let server = scope.spawn(serve);
        let client = ask();
        let server = server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let client = client.context("the client")?;
        Ok((server.context("the server")?, client))
    })
}
