//! What is served by HTTP on the node's own addresses: the kubelet's probes, and figures for Prometheus. Nothing else of the
//! socket's is there.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;

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
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let router = router(Arc::clone(app));
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
    Ok(())
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
    if let Some(cluster) = &app.cluster {
        let report = cluster.health.report();
        if !report.synced {
            words.push("the API server's objects have not been read yet".into());
        }
        words.extend(report.problems);
    }
    (number, format!("{}\n", words.join("\n")))
}
