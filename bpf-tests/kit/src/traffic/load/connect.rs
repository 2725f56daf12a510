//! A connection for each exchange: connect, one byte to and fro, close.
//!
//! The server closes first, so that TIME_WAIT stays with its one port and the client never runs out of ports.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    ends::{Ends, LIMIT, PORT, beside},
    steady,
};
use crate::traffic::echo::accept_within;

/// What the client says on its connections, the last of which ends the server.
const MORE: u8 = 1;
const LAST: u8 = 0;

/// Connections before the clock starts.
const WARM_UP: u32 = 20;

pub(super) fn run(ends: Ends<'_>, cpu: usize, duration: Duration) -> Result<f64> {
    let listener = ends.server.enter(|| TcpListener::bind((ends.address, PORT)))??;
    accept_within(&listener, LIMIT)?;
    let serve = || {
        steady(cpu)?;
        loop {
            let (mut stream, _) = listener.accept().context("nobody connects")?;
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            stream.write_all(&byte)?;
            if byte[0] == LAST {
                return Ok(());
            }
        }
    };
    let ask = || {
        ends.client.enter(|| {
            steady(cpu)?;
            (0..WARM_UP).try_for_each(|_| once(ends, MORE))?;
            let (start, mut connections) = (Instant::now(), 0);
            while start.elapsed() < duration {
                once(ends, MORE)?;
                connections += 1;
            }
            let rate = f64::from(connections) / start.elapsed().as_secs_f64();
            once(ends, LAST)?;
            Ok(rate)
        })?
    };
    Ok(beside(serve, ask)?.1)
}

fn once(ends: Ends<'_>, byte: u8) -> Result<()> {
    let mut stream = TcpStream::connect((ends.asked, PORT))?;
    stream.write_all(&[byte])?;
    let mut answer = Vec::with_capacity(2);
    // To the end: the server has closed then.
    stream.read_to_end(&mut answer)?;
    ensure!(answer == [byte], "the answer is {answer:?}");
    Ok(())
}
