//! Servers that send back what they get, by TCP and UDP.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::sys::{
    socket::{setsockopt, sockopt::ReceiveTimeout},
    time::{TimeVal, TimeValLike},
};

use crate::topology::Netns;

/// The port that servers listen at.
pub const PORT: u16 = 7007;

/// How often servers look whether they should end.
const TURN: Duration = Duration::from_millis(50);

/// Servers on some addresses of a namespace; they end when this is dropped.
#[derive(Debug)]
pub struct Echo {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Echo {
    /// Starts them at [`PORT`].
    ///
    /// # Errors
    /// Where an address is not the namespace's.
    pub fn start(netns: &Netns, addresses: &[IpAddr]) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for address in addresses {
            let at = SocketAddr::new(*address, PORT);
            // A socket stays in the namespace that it was made in; the threads need not be there.
            let (listener, socket) = netns
                .enter(|| Ok::<_, std::io::Error>((TcpListener::bind(at)?, UdpSocket::bind(at)?)))?
                .with_context(|| format!("a server at {at} in {}", netns.name()))?;
            accept_within(&listener, TURN)?;
            socket.set_read_timeout(Some(TURN))?;
            let (ends, end) = (Arc::clone(&stop), Arc::clone(&stop));
            threads.push(thread::spawn(move || accept(&listener, &ends)));
            threads.push(thread::spawn(move || answer(&socket, &end)));
        }
        Ok(Self { stop, threads })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A server that panicked has printed why.
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, stop: &Arc<AtomicBool>) {
    let mut connections = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if let Ok((stream, _)) = listener.accept() {
            let stop = Arc::clone(stop);
            connections.push(thread::spawn(move || serve(stream, &stop)));
        }
    }
    for connection in connections {
        let _ = connection.join();
    }
}

fn serve(mut stream: TcpStream, stop: &AtomicBool) {
    let mut buffer = [0; 65_536];
    let ready = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(TURN)));
    while ready.is_ok() && !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) if stream.write_all(&buffer[..length]).is_ok() => {}
            Err(error) if is_timeout(&error) => {}
            _ => return,
        }
    }
}

fn answer(socket: &UdpSocket, stop: &AtomicBool) {
    let mut buffer = [0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            // A client that has gone needs no answer.
            let _ = socket.send_to(&buffer[..length], from);
        }
    }
}

/// Sets how long `accept` waits.
pub(super) fn accept_within(listener: &TcpListener, limit: Duration) -> Result<()> {
    let limit = TimeVal::milliseconds(limit.as_millis().try_into()?);
    setsockopt(listener, ReceiveTimeout, &limit).context("a listener's time limit")
}

/// Whether a socket's timeout passed.
pub(super) fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
