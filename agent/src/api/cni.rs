//! What the plugin asks.

use std::{sync::Arc, time::Instant};

use axum::{Json, extract::State};
use ferrule_cni::api::{
    ActivateRequest, CheckRequest, GcRequest, GcResponse, ReleaseRequest, ReserveRequest, ReserveResponse,
    StatusResponse,
};
use serde_json::{Value, json};

use super::{App, Refusal};

type Answer<T> = Result<Json<T>, Refusal>;

pub(super) async fn reserve(
    State(app): State<Arc<App>>,
    Json(request): Json<ReserveRequest>,
) -> Answer<ReserveResponse> {
    app.times.begin(&request.id);
    Ok(Json(app.times.told("reserve", app.attachments.reserve(request).await)?))
}

pub(super) async fn activate(State(app): State<Arc<App>>, Json(request): Json<ActivateRequest>) -> Answer<Value> {
    let id = request.id.clone();
    app.times.told("activate", app.attachments.activate(request).await)?;
    app.times.added(&id);
    Ok(Json(json!({})))
}

pub(super) async fn release(State(app): State<Arc<App>>, Json(request): Json<ReleaseRequest>) -> Answer<Value> {
    let since = Instant::now();
    app.times.told("release", app.attachments.release(&request.id).await)?;
    app.times.deleted(&request.id, since);
    Ok(Json(json!({})))
}

pub(super) async fn check(State(app): State<Arc<App>>, Json(request): Json<CheckRequest>) -> Answer<Value> {
    app.times.told("check", app.attachments.check(&request).await)?;
    Ok(Json(json!({})))
}

pub(super) async fn gc(State(app): State<Arc<App>>, Json(request): Json<GcRequest>) -> Json<GcResponse> {
    Json(app.attachments.gc(&request).await)
}

pub(super) async fn status(State(app): State<Arc<App>>) -> Json<StatusResponse> {
    let state = Arc::clone(&app.state.borrow());
    Json(StatusResponse {
        ready: state.ready,
        datapath: state.ready || app.adopted,
        message: state.waiting.clone().filter(|_| !state.ready),
    })
}
