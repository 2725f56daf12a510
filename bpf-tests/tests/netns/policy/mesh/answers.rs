//! One pod's sockets: those that it answers by, and those that it asks from.

use std::{
    io,
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, connect, socket},
};
use test_kit::topology::Pod;

use super::{ASKED, Outcome, Proto, Question, raw};
use crate::policy::wires::{any, at};

/// A pod's sockets.
pub struct Socks {
    listeners: Vec<TcpListener>,
    datagrams: Vec<UdpSocket>,
    /// Raw ones, IPv4's first.
    sctp: [UdpSocket; 2],
    echo: [UdpSocket; 2],
    /// From where it asks now.
    asking: Option<[UdpSocket; 2]>,
    connecting: Vec<(usize, TcpStream)>,
    /// Another one at each round: a source port, and an echo's identifier.
    round: u16,
}

impl Socks {
    /// Opens those that answer.
    pub fn open(pod: &Pod) -> Result<Self> {
        let all = || -> io::Result<Self> {
            let ports = |wanted| ASKED.into_iter().filter(move |(proto, _)| *proto == wanted).map(|(_, port)| port);
            let listeners: Vec<_> =
                ports(Proto::Tcp).map(|port| TcpListener::bind(at(any(false), port))).collect::<io::Result<_>>()?;
            let datagrams: Vec<_> =
                ports(Proto::Udp).map(|port| UdpSocket::bind(at(any(false), port))).collect::<io::Result<_>>()?;
            listeners.iter().try_for_each(|listener| listener.set_nonblocking(true))?;
            datagrams.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
            Ok(Self {
                listeners,
                datagrams,
                sctp: [raw::socket(true, libc::IPPROTO_SCTP)?, raw::socket(false, libc::IPPROTO_SCTP)?],
                echo: [raw::socket(true, libc::IPPROTO_ICMP)?, raw::socket(false, libc::IPPROTO_ICMPV6)?],
                asking: None,
                connecting: Vec::new(),
                round: 20_000,
            })
        };
        pod.netns.enter(all)?.with_context(|| format!("the sockets of {}", pod.name))
    }

    /// Asks all of its own questions, each given with its number.
    pub fn begin<'a>(
        &mut self,
        pod: &Pod,
        own: impl Iterator<Item = (usize, &'a Question)> + Send,
        pods: &[Pod],
    ) -> Result<()> {
        self.round += 1;
        pod.netns.enter(|| {
            let bound = |v4| -> Result<UdpSocket> {
                let socket = UdpSocket::bind((pod.address(v4).context("no address")?, 0))?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            };
            self.asking = Some([bound(true)?, bound(false)?]);
            for (number, question) in own {
                if question.proto == Proto::Tcp {
                    self.connecting.push((number, connected(question, pods)?));
                } else {
                    self.again(number, question, pods)?;
                }
            }
            Ok(())
        })?
    }

    /// Asks once more; TCP does so itself.
    pub fn again(&self, number: usize, question: &Question, pods: &[Pod]) -> Result<()> {
        let to = pods[question.to].address(question.v4).context("no address")?;
        let (way, number) = (usize::from(!question.v4), u32::try_from(number)?);
        let sent = match (question.proto, &self.asking) {
            (Proto::Udp, Some(asking)) => asking[way].send_to(&number.to_be_bytes(), (to, question.port)),
            (Proto::Sctp, _) => {
                let packet = raw::sctp(self.round, question.port, false, number);
                self.sctp[way].send_to(&packet, (to, 0))
            }
            (Proto::Echo, _) => self.echo[way].send_to(&raw::echo(question.v4, self.round, number), (to, 0)),
            _ => return Ok(()),
        };
        sent.map(drop).with_context(|| format!("{question:?}"))
    }

    /// Answers what has come, and takes down what was heard and answered.
    pub fn collect(&mut self, questions: &[Question], outcome: &mut Outcome) -> Result<()> {
        let mut buffer = [0; 2048];
        for listener in &self.listeners {
            while listener.accept().is_ok() {}
        }
        self.connecting.retain(|(number, stream)| {
            let is_connected = stream.peer_addr().is_ok();
            if is_connected {
                outcome.answered.insert(questions[*number]);
            }
            !is_connected
        });
        for socket in &self.datagrams {
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                outcome.heard.extend(question(&buffer[..length], questions));
                // A failure shows as an answer that does not come.
                let _ = socket.send_to(&buffer[..length], from);
            }
        }
        for socket in self.asking.iter().flatten() {
            while let Ok(length) = socket.recv(&mut buffer) {
                outcome.answered.extend(question(&buffer[..length], questions));
            }
        }
        for (way, v4) in [true, false].into_iter().enumerate() {
            while let Ok((length, from)) = self.sctp[way].recv_from(&mut buffer) {
                let found = raw::payload(&buffer[..length], v4).and_then(raw::read_sctp);
                let Some((source, port, answer, number)) = found else { continue };
                let Some(question) = questions.get(number as usize) else { continue };
                if answer {
                    if port == self.round {
                        outcome.answered.insert(*question);
                    }
                } else {
                    outcome.heard.insert(*question);
                    // As above.
                    let _ = self.sctp[way].send_to(&raw::sctp(port, source, true, number), (from.ip(), 0));
                }
            }
            while let Ok(length) = self.echo[way].recv(&mut buffer) {
                let found = raw::payload(&buffer[..length], v4).and_then(|packet| raw::read_echo(packet, v4));
                if let Some((identifier, number)) = found
                    && identifier == self.round
                    && let Some(question) = questions.get(number as usize)
                {
                    outcome.answered.insert(*question);
                }
            }
        }
        Ok(())
    }

    /// Closes what it asked from.
    pub fn end(&mut self) {
        self.connecting.clear();
        self.asking = None;
    }
}

fn question(number: &[u8], questions: &[Question]) -> Option<Question> {
    questions.get(u32::from_be_bytes(number.try_into().ok()?) as usize).copied()
}

/// A connection that may never come to be.
fn connected(question: &Question, pods: &[Pod]) -> Result<TcpStream> {
    let to = at(pods[question.to].address(question.v4).context("no address")?, question.port);
    let family = if question.v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd: OwnedFd = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    let begun = match to {
        std::net::SocketAddr::V4(to) => connect(fd.as_raw_fd(), &SockaddrIn::from(to)),
        std::net::SocketAddr::V6(to) => connect(fd.as_raw_fd(), &SockaddrIn6::from(to)),
    };
    match begun {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(fd)),
        Err(error) => Err(error).with_context(|| format!("{question:?}")),
    }
}
