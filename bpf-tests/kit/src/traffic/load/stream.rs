//! As much as goes through one connection.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    ends::{Ends, LIMIT, PORT, beside},
    steady,
};
use crate::traffic::echo::accept_within;

/// How much is written and read at once, bytes.
const BLOCK: usize = 128 * 1024;

/// Gbit/s as the receiver sees them, from its first byte to the last. Without a CPU both ends run where and when they may.
pub(super) fn run(ends: Ends<'_>, cpu: Option<usize>, duration: Duration) -> Result<f64> {
    let steady = || cpu.map_or(Ok(()), steady);
    let listener = ends.server.enter(|| TcpListener::bind((ends.address, PORT)))??;
    accept_within(&listener, LIMIT)?;
    let receive = || {
        let (mut stream, _) = listener.accept().context("nobody connects")?;
        stream.set_read_timeout(Some(LIMIT))?;
        steady()?;
        let mut block = vec![0; BLOCK];
        // Starts the clock, and is not counted.
        stream.read_exact(&mut block[..1])?;
        let (start, mut bytes) = (Instant::now(), 0_usize);
        loop {
            match stream.read(&mut block)? {
                0 => break,
                length => bytes += length,
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
        let bits = bytes as f64 * 8.0;
        Ok(bits / start.elapsed().as_secs_f64() / 1e9)
    };
    let send = || {
        ends.client.enter(|| {
            let mut stream = TcpStream::connect_timeout(&(ends.asked, PORT).into(), LIMIT)?;
            stream.set_write_timeout(Some(LIMIT))?;
            steady()?;
            let (block, start) = (vec![0; BLOCK], Instant::now());
            while start.elapsed() < duration {
                stream.write_all(&block)?;
            }
            Ok(())
        })?
    };
    Ok(beside(receive, send)?.0)
}
