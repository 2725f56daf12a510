//! One request, one answer: acknowledgements, dumps, and the kernel's own words where it has some.

use std::{io, os::fd::AsFd, time::Duration};

use netlink_packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::{
    socket::{setsockopt, sockopt},
    time::TimeVal,
};

/// RTNL may be held for seconds on a busy node; longer than this is a fault.
const PATIENCE: Duration = Duration::from_secs(15);
const KERNEL: (u32, u32) = (0, 0);
/// `nlmsgerr`'s attribute with the kernel's sentence (linux/netlink.h).
const NLMSGERR_ATTR_MSG: u16 = 1;
/// The acknowledgement holds the request's header only.
const NLM_F_CAPPED: u16 = 0x100;
/// The acknowledgement has attributes.
const NLM_F_ACK_TLVS: u16 = 0x200;
const HEADER_LENGTH: usize = 16;

/// A request that the kernel refused, or that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}{}", said.as_deref().map(|said| format!(" ({said})")).unwrap_or_default())]
pub struct NetlinkError {
    /// What was tried.
    pub doing: String,
    /// The kernel's own words.
    pub said: Option<String>,
    /// The error number.
    #[source]
    pub source: io::Error,
}

impl NetlinkError {
    /// Whether the kernel answered with this error number.
    #[must_use]
    pub fn is(&self, errno: i32) -> bool {
        self.source.raw_os_error() == Some(errno)
    }
}

/// A socket in the network namespace that it was opened in.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// The kernel gives none.
    pub fn open() -> Result<Self, NetlinkError> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(KERNEL.0, KERNEL.1))?;
            // Older kernels have neither; only the kernel's words are lost then.
            let _ = socket.set_ext_ack(true);
            let _ = socket.set_cap_ack(true);
            let patience = TimeVal::new(PATIENCE.as_secs().try_into().unwrap_or(i64::MAX), 0);
            setsockopt(&socket.as_fd(), sockopt::ReceiveTimeout, &patience)?;
            Ok(socket)
        };
        let socket =
            open().map_err(|source| NetlinkError { doing: "open a netlink socket".into(), said: None, source })?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Asks for a change and waits for the acknowledgement.
    pub(super) fn change(&mut self, doing: &str, message: RouteNetlinkMessage, flags: u16) -> Result<(), NetlinkError> {
        self.ask(doing, message, NLM_F_ACK | flags).map(drop)
    }

    /// Asks for one object.
    pub(super) fn get(
        &mut self,
        doing: &str,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.ask(doing, message, NLM_F_ACK)
    }

    /// Asks for all objects of a kind; `doing` completes "cannot …".
    ///
    /// # Errors
    /// The kernel's.
    pub fn dump(
        &mut self,
        doing: &str,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.ask(doing, message, NLM_F_DUMP)
    }

    fn ask(
        &mut self,
        doing: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.exchange(message, flags).map_err(|(source, said)| NetlinkError { doing: doing.to_owned(), said, source })
    }

    fn exchange(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<Vec<RouteNetlinkMessage>, Refusal> {
        self.sequence += 1;
        let mut request = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(message));
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map_err(plain)?;

        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.receive().map_err(plain)?;
            let mut rest = &datagram[..];
            while rest.len() >= HEADER_LENGTH {
                let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(undecoded)?;
                let length = (answer.header.length as usize).next_multiple_of(4).min(rest.len());
                rest = &rest[length.max(HEADER_LENGTH)..];
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(answers),
                    NetlinkPayload::Error(error) => return Err((error.to_io(), words(&error, answer.header.flags))),
                    NetlinkPayload::InnerMessage(message) => answers.push(message),
                    _ => {}
                }
            }
        }
    }

    fn receive(&self) -> io::Result<(Vec<u8>, SocketAddr)> {
        loop {
            match self.socket.recv_from_full() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

type Refusal = (io::Error, Option<String>);

fn plain(error: io::Error) -> Refusal {
    (error, None)
}

fn undecoded(error: netlink_packet_core::DecodeError) -> Refusal {
    (io::Error::new(io::ErrorKind::InvalidData, error), None)
}

/// The kernel's sentence in an acknowledgement, if there is one.
fn words(error: &ErrorMessage, flags: u16) -> Option<String> {
    if flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let request = match flags & NLM_F_CAPPED {
        0 => u32::from_ne_bytes(error.header.get(..4)?.try_into().ok()?) as usize,
        _ => HEADER_LENGTH,
    };
    let attributes = error.header.get(request.next_multiple_of(4)..)?;
    let sentence = NlasIterator::new(attributes).flatten().find(|attribute| attribute.kind() == NLMSGERR_ATTR_MSG)?;
    Some(String::from_utf8_lossy(sentence.value()).trim_end_matches('\0').to_owned())
}
