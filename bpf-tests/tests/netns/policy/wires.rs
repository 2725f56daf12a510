//! Established connections and flows of which a test holds both ends, and so sees what passes each way.

use std::{
    fmt,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use test_kit::topology::{Netns, Pod, patience};

use crate::support::address;

/// How a wire's ends talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    Udp,
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Who opened it.
    Forth,
    /// Who answers.
    Back,
}

/// An established connection, or a flow of datagrams.
pub struct Wire {
    name: String,
    client: End,
    server: End,
}

enum End {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

/// How long nothing may arrive at the end of what is cut.
const SILENCE: Duration = Duration::from_millis(400);
/// How long what passes may take: TCP's retransmissions are seconds apart after some silence.
const LIMIT: Duration = Duration::from_secs(30);

impl Wire {
    /// Opens one, over which both ends have been heard.
    pub fn open(kind: Kind, from: &Pod, to: &Pod, v4: bool) -> Result<Self> {
        let name = format!("{kind} from {} to {}", from.name, address(to, v4)?);
        let (client, server) = match kind {
            Kind::Tcp => tcp(from, to, v4),
            Kind::Udp => udp(from, to, v4),
        }
        .with_context(|| name.clone())?;
        let wire = Self { name, client, server };
        wire.passes(Way::Forth)?;
        wire.passes(Way::Back)?;
        Ok(wire)
    }

    /// One of each kind and family.
    pub fn all(from: &Pod, to: &Pod) -> Result<Vec<Self>> {
        let kinds = [(Kind::Tcp, true), (Kind::Tcp, false), (Kind::Udp, true), (Kind::Udp, false)];
        kinds.into_iter().map(|(kind, v4)| Self::open(kind, from, to, v4)).collect()
    }

    fn ends(&self, way: Way) -> (&End, &End) {
        match way {
            Way::Forth => (&self.client, &self.server),
            Way::Back => (&self.server, &self.client),
        }
    }

    /// Sends a few bytes.
    pub fn send(&self, way: Way) -> Result<()> {
        self.ends(way).0.send().with_context(|| self.name.clone())
    }

    /// How many bytes have arrived since the last call.
    pub fn arrived(&self, way: Way) -> Result<usize> {
        self.ends(way).1.receive().with_context(|| self.name.clone())
    }

    /// That what one end sends arrives.
    pub fn passes(&self, way: Way) -> Result<()> {
        let (start, limit) = (Instant::now(), patience(LIMIT));
        loop {
            self.send(way)?;
            let turn = Instant::now();
            while turn.elapsed() < Duration::from_millis(100) {
                if self.arrived(way)? > 0 {
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(2));
            }
            ensure!(start.elapsed() < limit, "{}: nothing passes {way:?}", self.name);
        }
    }

    /// That both ends hear each other.
    pub fn lives(&self) -> Result<()> {
        self.passes(Way::Forth)?;
        self.passes(Way::Back)
    }

    /// That on none of these anything passes, whatever both ends send.
    pub fn are_cut<'a>(wires: impl IntoIterator<Item = &'a Self> + Clone) -> Result<()> {
        Self::are_cut_for(wires, &[Way::Forth, Way::Back])
    }

    /// The same, where only some ends send.
    pub fn are_cut_for<'a>(wires: impl IntoIterator<Item = &'a Self> + Clone, ways: &[Way]) -> Result<()> {
        for wire in wires.clone() {
            // What passed before they were cut.
            wire.arrived(Way::Forth)?;
            wire.arrived(Way::Back)?;
        }
        let start = Instant::now();
        while start.elapsed() < patience(SILENCE) {
            for wire in wires.clone() {
                for way in ways {
                    wire.send(*way)?;
                    let bytes = wire.arrived(*way)?;
                    ensure!(bytes == 0, "{}: {bytes} bytes passed {way:?} after {:?}", wire.name, start.elapsed());
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl End {
    fn send(&self) -> Result<()> {
        let sent = match self {
            Self::Tcp(stream) => (&*stream).write(b"ferrule"),
            Self::Udp(socket) => socket.send(b"ferrule"),
        };
        match sent {
            Ok(_) => Ok(()),
            // The buffer is full of what does not pass, or the other end's host said so.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn receive(&self) -> Result<usize> {
        let (mut buffer, mut sum) = ([0; 4096], 0);
        loop {
            let received = match self {
                Self::Tcp(stream) => (&*stream).read(&mut buffer),
                Self::Udp(socket) => socket.recv(&mut buffer),
            };
            match received {
                Ok(0) => return Ok(sum),
                Ok(bytes) => sum += bytes,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {
                    return Ok(sum);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn tcp(from: &Pod, to: &Pod, v4: bool) -> Result<(End, End)> {
    let listener = to.netns.enter(|| TcpListener::bind((address(to, v4)?, 0)).map_err(anyhow::Error::from))??;
    let target = listener.local_addr()?;
    let client = from.netns.enter(|| TcpStream::connect_timeout(&target, patience(LIMIT)))??;
    let (server, _) = listener.accept()?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
    }
    Ok((End::Tcp(client), End::Tcp(server)))
}

fn udp(from: &Pod, to: &Pod, v4: bool) -> Result<(End, End)> {
    let (client, server) = (bound(&from.netns, address(from, v4)?)?, bound(&to.netns, address(to, v4)?)?);
    client.connect(server.local_addr()?)?;
    server.connect(client.local_addr()?)?;
    Ok((End::Udp(client), End::Udp(server)))
}

/// A socket of its own port.
fn bound(netns: &Netns, at: IpAddr) -> Result<UdpSocket> {
    let socket = netns.enter(|| UdpSocket::bind((at, 0)))??;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// Every address of a family.
pub fn any(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// An address and a port.
pub fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}
