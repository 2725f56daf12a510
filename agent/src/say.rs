//! Lines for whoever called: one that no longer reads ends nothing, as in `ferrule-agent preflight | head -1`.

use std::io::{self, ErrorKind, Write};

/// A line on standard output.
///
/// # Errors
/// It cannot be written, and somebody reads.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    heard(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// A line on standard error, where somebody reads it.
pub fn complaint(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn heard(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
