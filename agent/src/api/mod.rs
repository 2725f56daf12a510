//! The agent's socket: HTTP/1.1 with JSON, for the plugin (`/v1/cni/…`) and for operators (`/v1/…`, `/metrics`).

mod cni;
mod doctor;
mod exposition;
mod flows;
mod inspect;
mod listening;
mod policy;
pub mod probes;
mod prometheus;
mod serve;
mod services;
mod socket;
mod times;

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use ferrule_api::{
    plugin as api,
    plugin::{ApiError, code},
    view,
};
use ferrule_kernel::{
    bpf::{Metrics, Pins, Programs},
    changes::Changes,
};
use ferrule_source::{kubernetes::Health, store::Reader};
pub use listening::Listening;
pub use prometheus::Recent;
pub use socket::{SocketError, bind};
pub use times::Times;
use tokio::{net::UnixListener, sync::watch};

use crate::{
    attachment::{AttachmentError, Attachments},
    config::Config,
    flows::Flows,
    monitor::Monitor,
    policy::Policy,
    services::Services,
    state::NodeState,
};

/// What handlers answer from.
pub struct App {
    /// The configuration.
    pub config: Arc<Config>,
    /// How it stands with the API server, where that is the source.
    pub server: Option<Arc<Health>>,
    /// Netlink.
    pub net: rtnetlink::Handle,
    /// The programs.
    pub programs: Arc<Mutex<Programs>>,
    /// The reconciler listens to it.
    pub changes: Arc<Changes>,
    /// Local pods.
    pub attachments: Arc<Attachments>,
    /// What the reconciler found.
    pub state: watch::Receiver<Arc<NodeState>>,
    /// The programs' counters.
    pub metrics: Mutex<Metrics>,
    /// The connection table.
    pub flows: Arc<Flows>,
    /// What may pass.
    pub policy: Arc<Policy>,
    /// Services.
    pub services: Arc<Services>,
    /// What `/metrics` told anybody last.
    pub recent: Recent,
    /// The addresses of `listen`.
    pub listening: Listening,
    /// What programs tell of single packets.
    pub monitor: Arc<Monitor>,
    /// The objects.
    pub store: Reader,
    /// How long the plugin's calls take.
    pub times: Times,
    /// The pinned maps.
    pub pins: Pins,
    /// Maps were taken over from a former agent: what they hold is in force before the first reconciliation.
    pub adopted: bool,
}

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

/// An error as the plugin expects it.
struct Refusal(ApiError);

impl From<AttachmentError> for Refusal {
    fn from(error: AttachmentError) -> Self {
        Self(ApiError::from(&error))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.0.code {
            code::TRY_AGAIN => StatusCode::SERVICE_UNAVAILABLE,
            code::UNKNOWN_CONTAINER => StatusCode::NOT_FOUND,
            code::INVALID => StatusCode::BAD_REQUEST,
            code::ADDRESSES | code::EXISTS | code::DAMAGED => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.0)).into_response()
    }
}
