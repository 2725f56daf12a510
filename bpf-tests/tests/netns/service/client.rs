//! Clients of Services: they open their sockets in their node's cgroup.

use std::{
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::Result;
use test_kit::topology::{Netns, Node, patience};

/// How long an answer may take.
pub const LIMIT: Duration = Duration::from_millis(1500);

/// Who asks: a namespace, and the node in whose cgroup its processes are.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    pub node: &'a Node,
    pub netns: &'a Netns,
}

/// An answer: who gave it, and what the socket says whom it is from.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub name: String,
    pub from: SocketAddr,
}

impl<'a> Client<'a> {
    pub fn new(node: &'a Node, netns: &'a Netns) -> Self {
        Self { node, netns }
    }

    /// Opens sockets; they belong to the node's cgroup wherever they are used.
    pub fn open<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.node.cgroup().within(|| self.netns.enter(work))?
    }

    /// By TCP.
    pub fn tcp(&self, to: SocketAddr) -> Result<io::Result<Answer>> {
        self.open(|| tcp(to))
    }

    /// By a UDP socket that is connected.
    pub fn udp(&self, to: SocketAddr) -> Result<io::Result<Answer>> {
        self.open(|| ask(&connected(to)?))
    }

    /// By a UDP socket that is not.
    pub fn loose(&self, to: SocketAddr) -> Result<io::Result<Answer>> {
        self.open(|| ask_loose(&loose(to)?, to))
    }
}

pub fn tcp(to: SocketAddr) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, patience(LIMIT))?;
    stream.set_read_timeout(Some(patience(LIMIT)))?;
    let from = stream.peer_addr()?;
    let mut name = String::new();
    stream.read_to_string(&mut name)?;
    Ok(Answer { name, from })
}

fn any(to: SocketAddr) -> SocketAddr {
    let any = if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    SocketAddr::new(any, 0)
}

pub fn loose(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(any(to))?;
    socket.set_read_timeout(Some(patience(LIMIT)))?;
    Ok(socket)
}

pub fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = loose(to)?;
    socket.connect(to)?;
    Ok(socket)
}

/// Asks through a connected socket; whom it is from is what the datagram says, and has to be the peer's name.
pub fn ask(socket: &UdpSocket) -> io::Result<Answer> {
    socket.send(b"who")?;
    let answer = received(socket)?;
    if socket.peer_addr()? != answer.from {
        return Err(io::Error::other(format!("{:?} is not {}", answer.from, socket.peer_addr()?)));
    }
    Ok(answer)
}

pub fn ask_loose(socket: &UdpSocket, to: SocketAddr) -> io::Result<Answer> {
    socket.send_to(b"who", to)?;
    received(socket)
}

fn received(socket: &UdpSocket) -> io::Result<Answer> {
    let mut buffer = [0; 64];
    let (length, from) = socket.recv_from(&mut buffer)?;
    Ok(Answer { name: String::from_utf8_lossy(&buffer[..length]).into_owned(), from })
}

/// The same address as a socket for both families has it.
pub fn mapped(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        SocketAddr::V6(_) => to,
    }
}
