//! Servers that say who they are, by TCP and UDP.

use std::{
    io::Write,
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};

use super::echo::accept_within;
use crate::topology::Netns;

/// How often servers look whether they should end.
const TURN: Duration = Duration::from_millis(50);

/// Servers on some addresses of a namespace; they end when this is dropped.
#[derive(Debug)]
pub struct Named {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    asked: Arc<AtomicU64>,
}

impl Named {
    /// Starts them at a port.
    ///
    /// # Errors
    /// Where an address is not the namespace's.
    pub fn start(netns: &Netns, addresses: &[IpAddr], port: u16, name: &str) -> Result<Self> {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut threads = Vec::new();
        for address in addresses {
            let at = SocketAddr::new(*address, port);
            // A socket stays in the namespace that it was made in; the threads need not be there.
            let (listener, socket) = netns
                .enter(|| Ok::<_, std::io::Error>((TcpListener::bind(at)?, UdpSocket::bind(at)?)))?
                .with_context(|| format!("a server at {at} in {}", netns.name()))?;
            accept_within(&listener, TURN)?;
            socket.set_read_timeout(Some(TURN))?;
            let (end, count, own) = (Arc::clone(&stop), Arc::clone(&asked), name.to_owned());
            threads.push(thread::spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    if let Ok((mut stream, _)) = listener.accept() {
                        count.fetch_add(1, Ordering::Relaxed);
                        // A client that has gone needs no answer.
                        let _ = stream.write_all(own.as_bytes());
                        let _ = stream.shutdown(Shutdown::Write);
                    }
                }
            }));
            let (end, count, own) = (Arc::clone(&stop), Arc::clone(&asked), name.to_owned());
            threads.push(thread::spawn(move || {
                let mut buffer = [0; 64];
                while !end.load(Ordering::Relaxed) {
                    if let Ok((_, from)) = socket.recv_from(&mut buffer) {
                        count.fetch_add(1, Ordering::Relaxed);
                        let _ = socket.send_to(own.as_bytes(), from);
                    }
                }
            }));
        }
        Ok(Self { stop, threads, asked })
    }

    /// How often they were asked.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A server that panicked has printed why.
            let _ = thread.join();
        }
    }
}
