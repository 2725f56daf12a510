//! Serves HTTP/1.1 to whoever connects, within limits: of connections, and of the time that a request may take to arrive.

mod gate;

use std::{
    collections::HashMap,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use self::gate::{Client, Gate};

/// What a connection may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// How many there may be at once.
    all: usize,
    /// How many of them one client may have; with more, its oldest is closed. None: nobody is closed, and who comes when all
    /// are there waits.
    of_one: Option<usize>,
    /// How long a request's header may take to arrive; also, how long a connection may say nothing.
    header: Duration,
    /// How long one request and its answer may take, which then is all that the connection is for.
    whole: Option<Duration>,
}

impl Terms {
    /// For whoever can reach the node. The kubelet and Prometheus open a connection for each request.
    pub(super) const ANYBODY: Self =
        Self { all: 256, of_one: Some(32), header: Duration::from_secs(5), whole: Some(Duration::from_secs(30)) };
    /// For root on this node: the plugin's calls wait for as long as a pod needs, and `ferrule monitor` goes on.
    pub(super) const ROOT: Self = Self { all: 512, of_one: None, header: Duration::from_secs(10), whole: None };
}

/// How long a connection may still take after the agent was told to end.
const GRACE: Duration = Duration::from_secs(3);
/// How long nobody is let in where the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(super) trait Door: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// The next one, and whose it is.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, Client)>> + Send;
}

impl Door for TcpListener {
    type Stream = tokio::net::TcpStream;
    async fn next(&self) -> io::Result<(Self::Stream, Client)> {
        let (stream, from) = self.accept().await?;
        Ok((stream, from.ip().into()))
    }
}

impl Door for UnixListener {
    type Stream = tokio::net::UnixStream;
    async fn next(&self) -> io::Result<(Self::Stream, Client)> {
        let (stream, _) = self.accept().await?;
        Ok((stream, Client::File))
    }
}

/// Serves until `stop` comes to its end, and then lets requests on their way finish. `closed` counts the connections that were
/// closed for others, or for taking too long.
pub(super) async fn serve(
    door: impl Door,
    router: Router,
    terms: Terms,
    closed: Arc<AtomicU64>,
    stop: impl Future<Output = ()>,
) {
    let mut gate = Gate::new(terms.all, terms.of_one.unwrap_or(terms.all));
    let mut tasks: JoinSet<u64> = JoinSet::new();
    let mut handles: HashMap<u64, AbortHandle> = HashMap::new();
    let (stopping, stopped) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let waits = terms.of_one.is_none() && gate.is_full();
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = tasks.join_next() => {
                if let Ok(number) = ended {
                    gate.leave(number);
                    handles.remove(&number);
                }
            }
            entered = door.next(), if !waits => match entered {
                Ok((stream, client)) => {
                    let (number, evicted) = gate.enter(client);
                    if let Some(handle) = evicted.and_then(|evicted| handles.remove(&evicted)) {
                        handle.abort();
                        closed.fetch_add(1, Relaxed);
                    }
                    let one = connection(stream, router.clone(), terms, Arc::clone(&closed), stopped.clone());
                    let handle = tasks.spawn(async move {
                        one.await;
                        number
                    });
                    handles.insert(number, handle);
                }
                // One that went before it was let in is nobody's error.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection to the agent cannot be taken; tried again");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(door);
    stopping.send_replace(true);
    // What goes on by itself, such as `ferrule monitor`, is cut off then.
    let _ = tokio::time::timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await;
}

async fn connection<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    router: Router,
    terms: Terms,
    closed: Arc<AtomicU64>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(terms.header).keep_alive(terms.whole.is_none());
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    let limit = async {
        match terms.whole {
            Some(whole) => tokio::time::sleep(whole).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        outcome = &mut served => {
            let late = outcome.is_err_and(|error| error.is_timeout());
            closed.fetch_add(u64::from(late), Relaxed);
        }
        () = limit => {
            closed.fetch_add(1, Relaxed);
        }
        () = told(&mut stopped) => {
            served.as_mut().graceful_shutdown();
            // A client that is gone is no error of ours.
            let _ = served.await;
        }
    }
}

/// Waits for the word to end.
async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
