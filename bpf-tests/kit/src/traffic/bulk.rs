//! Many bytes at once, in segments as large as the sender believes the path takes.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::PORT;
use crate::topology::{Netns, patience};

/// How long nothing may arrive.
const LIMIT: Duration = Duration::from_secs(10);

/// Sends `bytes` to an echo server and reads them back.
///
/// # Errors
/// Where they do not come back, or others do.
pub fn transfer(from: &Netns, to: IpAddr, bytes: usize) -> Result<()> {
    let what = || format!("{bytes} bytes from {} to {to} and back", from.name());
    let limit = patience(LIMIT);
    let mut stream =
        from.enter(|| TcpStream::connect_timeout(&SocketAddr::new(to, PORT), limit))?.with_context(what)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let sent: Vec<u8> = (0..=u8::MAX).cycle().take(bytes).collect();
    let mut received = vec![0; bytes];
    let mut writer = stream.try_clone()?;
    thread::scope(|scope| {
        let writing = scope.spawn(|| writer.write_all(&sent));
        let read = stream.read_exact(&mut received);
        writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).and(read)
    })
    .with_context(what)?;
    ensure!(sent == received, "{}: other bytes came back", what());
    Ok(())
}
