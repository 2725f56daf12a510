//! Services as operators see them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
};
use ferrule_api::view;
use ferrule_model::objects::ObjectName;
use serde::Deserialize;

use super::App;

#[derive(Deserialize)]
pub(super) struct Asked {
    namespace: Option<String>,
    name: Option<String>,
}

pub(super) async fn list(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Json<Vec<view::Service>> {
    let only = asked.namespace.zip(asked.name).map(|(namespace, name)| ObjectName::new(namespace, name));
    Json(app.controllers.services.show(only.as_ref()))
}
