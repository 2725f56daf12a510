//! What is served by HTTP on the node's own addresses: the kubelet's probes, and figures for Prometheus. Nothing else of the
//! socket's is there.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use ferrule_api::plugin::{ApiError, code};
use nix::sys::socket::{setsockopt, sockopt::Ipv6V6Only};
use tokio::net::{TcpListener, TcpSocket};

use super::{
    App, prometheus,
    serve::{self, Terms},
};

/// A round looks at everything every ten seconds.
const STUCK: Duration = Duration::from_secs(180);

/// How soon an address that cannot be listened on is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Serves on these addresses until the process ends, in a thread of its own: whoever can reach them keeps it busy, and nothing
/// else. One that somebody else has is tried again and again, and told of meanwhile.
///
/// # Errors
/// Where no thread can be had.
pub fn serve(app: &Arc<App>, addresses: Vec<SocketAddr>) -> io::Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    let app = Arc::clone(app);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        runtime.block_on(async {
            let each = addresses.into_iter().map(|address| keep(Arc::clone(&app), address));
            futures::future::join_all(each).await;
        });
    };
    std::thread::Builder::new().name("probes".into()).spawn(work)?;
    Ok(())
}

async fn keep(app: Arc<App>, address: SocketAddr) {
    loop {
        match listen(address).await {
            Ok(listener) => {
                app.listening.tell(address, None);
                let closed = Arc::clone(&app.listening.closed);
                serve::serve(listener, router(Arc::clone(&app)), Terms::ANYBODY, closed, std::future::pending()).await;
            }
            Err(error) => {
                let words = format!(
                    "listen: {address} cannot be listened on ({error}); end what has it, or give another address or port"
                );
                app.listening.tell(address, Some(words));
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Serves a router of another command's on an address that anybody may reach, until the process ends.
///
/// # Errors
/// Where it cannot be listened on.
pub(crate) async fn serve_router(address: SocketAddr, router: Router) -> io::Result<()> {
    let listener = listen(address).await?;
    tokio::spawn(serve::serve(listener, router, Terms::ANYBODY, Arc::default(), std::future::pending()));
    Ok(())
}

/// How many connections may wait to be taken, as tokio has it.
const BACKLOG: u32 = 1024;

/// Listens on an address. `[::]` is every address of both families, whatever `net.ipv6.bindv6only` says, and on a node without
/// IPv6 those of IPv4: so one setting suits all nodes.
///
/// # Errors
/// The kernel's.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if address.ip() != Ipv6Addr::UNSPECIFIED {
        return TcpListener::bind(address).await;
    }
    let socket = match TcpSocket::new_v6() {
        Err(error) if error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => {
            return TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await;
        }
        other => other?,
    };
    setsockopt(&socket, Ipv6V6Only, &false)?;
    // As `TcpListener::bind` does: the former agent's connections shall not keep the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(prometheus::recent))
        .with_state(app)
}

/// Alive unless the reconciler hangs: then nothing but a new process helps.
async fn live(State(app): State<Arc<App>>) -> (StatusCode, String) {
    match stuck(&app) {
        Some(words) => (StatusCode::SERVICE_UNAVAILABLE, format!("{words}\n")),
        None => (StatusCode::OK, "ok\n".into()),
    }
}

/// The same on the agent's socket, which nobody but root can take or fill: what the kubelet's liveness goes by.
pub(super) async fn alive(State(app): State<Arc<App>>) -> Response {
    match stuck(&app) {
        Some(msg) => {
            let error = ApiError { code: code::INTERNAL, msg, details: String::new() };
            (StatusCode::SERVICE_UNAVAILABLE, Json(error)).into_response()
        }
        None => Json("alive").into_response(),
    }
}

fn stuck(app: &App) -> Option<String> {
    let age = app.controllers.state.borrow().finished.map(|finished| finished.elapsed())?;
    (age > STUCK).then(|| format!("the last round ended {} s ago", age.as_secs()))
}

/// Ready while pods can be added: the source has been read and the datapath is what it says. What does not work between the
/// agent and the API server is told either way.
async fn ready(State(app): State<Arc<App>>) -> (StatusCode, String) {
    let state = Arc::clone(&app.controllers.state.borrow());
    let (number, mut words) = if state.ready {
        (StatusCode::OK, vec!["ok".into()])
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, state.waiting.iter().cloned().collect())
    };
    if let Some(server) = &app.server {
        let report = server.report();
        if !report.synced {
            words.push("the API server's objects have not been read yet".into());
        }
        words.extend(report.problems);
    }
    (number, format!("{}\n", words.join("\n")))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_address_of_all_is_that_of_both_families() {
        let listener = listen((Ipv6Addr::UNSPECIFIED, 0).into()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("by IPv4");
        if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.expect("by IPv6");
        }
    }

    #[tokio::test]
    async fn another_address_is_that_one_alone() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
        let taken = listen(address).await.expect_err("somebody has it");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
}
