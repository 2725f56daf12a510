//! What is served by HTTP on the node's own addresses: the kubelet's probes, and figures for Prometheus. Nothing else of the
//! socket's is there.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use nix::sys::socket::{setsockopt, sockopt::Ipv6V6Only};
use tokio::net::{TcpListener, TcpSocket};

use super::{App, prometheus};

/// A round looks at everything every ten seconds.
const STUCK: Duration = Duration::from_secs(180);

/// Serves on these addresses until the process ends.
///
/// # Errors
/// Where one of them cannot be listened on: a sentence.
pub async fn serve(app: &Arc<App>, addresses: &[SocketAddr]) -> Result<(), String> {
    for address in addresses {
        let failed = |error| format!("listen: {address} cannot be listened on ({error}); give another address or port");
        let listener = listen(*address).await.map_err(failed)?;
        let router = router(Arc::clone(app));
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
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
        .route("/metrics", get(prometheus::text))
        .with_state(app)
}

/// Alive unless the reconciler hangs: then nothing but a new process helps.
async fn live(State(app): State<Arc<App>>) -> (StatusCode, String) {
    let state = Arc::clone(&app.state.borrow());
    match state.finished.map(|finished| finished.elapsed()) {
        Some(age) if age > STUCK => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("the last round ended {} s ago\n", age.as_secs()))
        }
        _ => (StatusCode::OK, "ok\n".into()),
    }
}

/// Ready while pods can be added: the source has been read and the datapath is what it says. What does not work between the
/// agent and the API server is told either way.
async fn ready(State(app): State<Arc<App>>) -> (StatusCode, String) {
    let state = Arc::clone(&app.state.borrow());
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
