//! What the plugin asks.

use std::{sync::Arc, time::Instant};

use axum::{Json, extract::State};
use ferrule_api::plugin::{
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
    Ok(Json(app.times.told("reserve", app.controllers.attachments.reserve(request).await)?))
}

pub(super) async fn activate(State(app): State<Arc<App>>, Json(request): Json<ActivateRequest>) -> Answer<Value> {
    let id = request.id.clone();
    app.times.told("activate", app.controllers.attachments.activate(request).await)?;
    app.times.added(&id);
    Ok(Json(json!({})))
}

pub(super) async fn release(State(app): State<Arc<App>>, Json(request): Json<ReleaseRequest>) -> Answer<Value> {
    to_its_end(async move {
        let since = Instant::now();
        app.times.told("release", app.controllers.attachments.release(&request.id).await)?;
        app.times.deleted(&request.id, since);
        Ok(Json(json!({})))
    })
    .await
}

pub(super) async fn check(State(app): State<Arc<App>>, Json(request): Json<CheckRequest>) -> Answer<Value> {
    app.times.told("check", app.controllers.attachments.check(&request).await)?;
    Ok(Json(json!({})))
}

pub(super) async fn gc(State(app): State<Arc<App>>, Json(request): Json<GcRequest>) -> Json<GcResponse> {
    to_its_end(async move { Json(app.controllers.attachments.gc(&request).await) }).await
}

/// Whoever asked may leave before it is done, and would take the rest with it: what removes goes on by itself.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

pub(super) async fn status(State(app): State<Arc<App>>) -> Json<StatusResponse> {
    let state = Arc::clone(&app.controllers.state.borrow());
    Json(StatusResponse {
        ready: state.ready,
        datapath: state.ready || app.adopted,
        message: state.waiting.clone().filter(|_| !state.ready),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_removes_is_done_though_its_caller_left() {
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
        let (end, ended) = tokio::sync::oneshot::channel();
        let asked = tokio::spawn(to_its_end(async move {
            begin.send(()).unwrap();
            waits.await.unwrap();
            end.send(()).unwrap();
        }));
        begun.await.unwrap();
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        go_on.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap().unwrap();
    }
}
