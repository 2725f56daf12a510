//! The agent's socket: HTTP/1.1 with JSON, for the plugin (`/v1/cni/…`) and for operators (`/v1/…`, `/metrics`).

mod app;
mod cni;
mod doctor;
mod exposition;
mod flows;
mod inspect;
mod listening;
mod policy;
pub mod probes;
mod prometheus;
mod recent;
mod refusal;
mod serve;
mod services;
mod socket;
mod times;

use std::sync::Arc;

pub use app::App;
use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use ferrule_api::{
    plugin::{self as api, ApiError, code},
    view,
};
pub use listening::Listening;
pub use recent::Recent;
use refusal::Refusal;
pub use socket::{SocketError, bind};
pub use times::Times;
use tokio::net::UnixListener;

/// Serves the agent's own socket until `stop` comes to its end.
pub async fn serve(listener: UnixListener, app: Arc<App>, stop: impl Future<Output = ()>) {
    // Nobody is closed for others there, and who says nothing is root's own affair: it is not counted.
    serve::serve(listener, router(app), serve::Terms::ROOT, Arc::default(), stop).await;
}

/// Every route.
fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(api::RESERVE, post(cni::reserve))
        .route(api::ACTIVATE, post(cni::activate))
        .route(api::RELEASE, post(cni::release))
        .route(api::CHECK, post(cni::check))
        .route(api::GC, post(cni::gc))
        .route(api::STATUS, get(cni::status))
        .route(view::STATUS, get(inspect::status))
        .route(view::ENDPOINTS, get(inspect::endpoints))
        .route(view::PODS, get(inspect::pods))
        .route(view::NODES, get(inspect::nodes))
        .route(view::IPS, get(inspect::ips))
        .route(view::METRICS, get(inspect::metrics))
        .route(view::DOCTOR, get(doctor::examine).post(doctor::mend))
        .route(view::CONNTRACK, get(flows::list).delete(flows::flush))
        .route(view::MONITOR, get(flows::monitor))
        .route(view::POLICIES, get(policy::list))
        .route(view::SERVICES, get(services::list))
        .route(view::EXPLAIN, get(policy::explain))
        .route(view::CHECK_POLICY, post(policy::check))
        .route("/v1/maps/{name}", get(inspect::map))
        .route("/metrics", get(prometheus::text))
        .route(view::ALIVE, get(probes::alive))
        .fallback(|| async {
            let msg = "the agent has no such path; plugin or command line and agent may be more than one release apart";
            (StatusCode::NOT_FOUND, Json(ApiError { code: code::INVALID, msg: msg.into(), details: String::new() }))
        })
        .with_state(app)
}
