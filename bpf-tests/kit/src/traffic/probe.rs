//! One question and its answer.

use std::{
    fmt,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{PORT, Ping};
use crate::topology::{Netns, patience};

/// How one asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A connection to an echo server, and one exchange on it.
    Tcp,
    /// A datagram to an echo server.
    Udp,
    /// An echo request.
    Icmp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
        })
    }
}

/// How long an answer may take.
const LIMIT: Duration = Duration::from_millis(1500);

/// Asks from a namespace; the time of one exchange.
///
/// # Errors
/// Where no answer comes, or another one than expected.
pub fn probe(from: &Netns, to: IpAddr, protocol: Protocol) -> Result<Duration> {
    ask(from, SocketAddr::new(to, PORT), protocol)
}

/// As [`probe`], at another port than the servers' own: something on the way leads to them.
///
/// # Errors
/// As [`probe`].
pub fn ask(from: &Netns, to: SocketAddr, protocol: Protocol) -> Result<Duration> {
    let exchange = match protocol {
        Protocol::Tcp => from.enter(|| tcp(to))?,
        Protocol::Udp => from.enter(|| udp(to))?,
        Protocol::Icmp => Ping::to(to.ip()).once(from),
    };
    exchange.with_context(|| match protocol {
        Protocol::Icmp => format!("{protocol} from {} to {}", from.name(), to.ip()),
        _ => format!("{protocol} from {} to {to}", from.name()),
    })
}

fn tcp(to: SocketAddr) -> Result<Duration> {
    let mut stream = TcpStream::connect_timeout(&to, patience(LIMIT))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience(LIMIT)))?;
    let start = Instant::now();
    stream.write_all(b"ferrule")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    if &answer != b"ferrule" {
        bail!("the answer is {answer:?}");
    }
    Ok(start.elapsed())
}

fn udp(to: SocketAddr) -> Result<Duration> {
    let any = if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0))?;
    // Connected, so that an ICMP error is told and an answer from elsewhere is not taken.
    socket.connect(to)?;
    socket.set_read_timeout(Some(patience(LIMIT)))?;
    let start = Instant::now();
    socket.send(b"ferrule")?;
    let mut answer = [0; 64];
    let length = socket.recv(&mut answer)?;
    if &answer[..length] != b"ferrule" {
        bail!("the answer is {:?}", &answer[..length]);
    }
    Ok(start.elapsed())
}
