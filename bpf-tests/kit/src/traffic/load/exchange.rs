//! One byte to and fro, again and again.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    ends::{Ends, LIMIT, PORT, beside},
    steady,
};
use crate::traffic::echo::accept_within;

/// Exchanges before the clock starts: slow start, neighbours, caches.
const WARM_UP: u32 = 100;

/// Exchanges between two looks at the clock.
const BATCH: u32 = 16;

pub(super) fn tcp(ends: Ends<'_>, cpu: usize, duration: Duration) -> Result<f64> {
    let listener = ends.server.enter(|| TcpListener::bind((ends.address, PORT)))??;
    accept_within(&listener, LIMIT)?;
    let serve = || {
        let (mut stream, _) = listener.accept().context("nobody connects")?;
        ready(&stream)?;
        steady(cpu)?;
        let mut byte = [0];
        while stream.read(&mut byte)? > 0 {
            stream.write_all(&byte)?;
        }
        Ok(())
    };
    let ask = || {
        let mut stream = ends.client.enter(|| TcpStream::connect_timeout(&(ends.asked, PORT).into(), LIMIT))??;
        ready(&stream)?;
        let mut byte = [1];
        in_turns(cpu, duration, || stream.write_all(&byte).and_then(|()| stream.read_exact(&mut byte)))
    };
    Ok(beside(serve, ask)?.1)
}

pub(super) fn udp(ends: Ends<'_>, cpu: usize, duration: Duration) -> Result<f64> {
    let server = ends.server.enter(|| UdpSocket::bind((ends.address, PORT)))??;
    server.set_read_timeout(Some(LIMIT))?;
    let serve = || {
        steady(cpu)?;
        let mut buffer = [0; 8];
        loop {
            let (length, from) = server.recv_from(&mut buffer).context("nothing arrives")?;
            // The client's end.
            if length == 0 {
                return Ok(());
            }
            server.send_to(&buffer[..length], from)?;
        }
    };
    let ask = || {
        let any = if ends.address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let client = ends.client.enter(|| UdpSocket::bind(any))??;
        client.connect((ends.asked, PORT))?;
        client.set_read_timeout(Some(LIMIT))?;
        let mut byte = [1];
        let rate = in_turns(cpu, duration, || client.send(&byte).and_then(|_| client.recv(&mut byte).map(drop)));
        client.send(&[])?;
        rate
    };
    Ok(beside(serve, ask)?.1)
}

/// Neither Nagle's delay nor waiting for ever.
fn ready(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))
}

/// Exchanges for a time; how many a second.
fn in_turns(cpu: usize, duration: Duration, mut exchange: impl FnMut() -> io::Result<()> + Send) -> Result<f64> {
    // A thread of its own: the caller's goes on in ordinary order.
    std::thread::scope(|scope| {
        let client = scope.spawn(move || {
            steady(cpu)?;
            (0..WARM_UP).try_for_each(|_| exchange()).map_err(in_words)?;
            let (start, mut exchanges) = (Instant::now(), 0);
            while start.elapsed() < duration {
                (0..BATCH).try_for_each(|_| exchange()).map_err(in_words)?;
                exchanges += BATCH;
            }
            Ok(f64::from(exchanges) / start.elapsed().as_secs_f64())
        });
        client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A socket's timeout reads "Resource temporarily unavailable".
fn in_words(error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::WouldBlock => anyhow::anyhow!("no answer came for {} s", LIMIT.as_secs()),
        _ => error.into(),
    }
}
