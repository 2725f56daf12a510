//! Who sends to whom, and both at once.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result};

use crate::topology::Netns;

/// The port that a load's server listens at.
pub const PORT: u16 = 7008;

/// How long a socket waits for what should come in microseconds, before the load fails.
pub(super) const LIMIT: Duration = Duration::from_secs(2);

/// Who sends to whom.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'a> {
    /// Where the client is.
    pub client: &'a Netns,
    /// Where the server is.
    pub server: &'a Netns,
    /// The server's address.
    pub address: IpAddr,
    /// The address that the client asks for: the server's own, or a Service's.
    pub asked: IpAddr,
}

/// Serves with `serve` beside `ask`; what both came to. The client's failure tells more than the server's, which has
/// waited for it in vain.
pub(super) fn beside<S: Send, C>(
    serve: impl FnOnce() -> Result<S> + Send,
    ask: impl FnOnce() -> Result<C>,
) -> Result<(S, C)> {
    std::thread::scope(|scope| {
        let server = scope.spawn(serve);
        let client = ask();
        let server = server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let client = client.context("the client")?;
        Ok((server.context("the server")?, client))
    })
}
