//! What `ferrule doctor` asks.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use ferrule_api::view::Finding;

use super::App;
use crate::doctor;

/// How long mending may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn examine(State(app): State<Arc<App>>) -> Json<Vec<Finding>> {
    Json(doctor::examine(&app.controllers, app.listening.problems()).await)
}

/// Lets the agent look at everything now, and examines what is left.
pub(super) async fn mend(State(app): State<Arc<App>>) -> Json<Vec<Finding>> {
    let mut states = app.controllers.state.clone();
    // The first may have begun before it was told.
    for _ in 0..2 {
        let before = app.controllers.state.borrow().full_rounds;
        app.controllers.changes.tell_everything();
        // What a round that does not end left undone is found below.
        let _ = tokio::time::timeout(PATIENCE / 2, states.wait_for(|state| state.full_rounds > before)).await;
    }
    let services = Arc::clone(&app.controllers.services);
    // What could not be mended is found below.
    let _ = tokio::task::spawn_blocking(move || services.mend()).await;
    Json(doctor::examine(&app.controllers, app.listening.problems()).await)
}
