//! What `ferrule policy` asks.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
};
use ferrule_api::view;
use ferrule_model::{
    objects::{Direction, Identity, Kind},
    policy::Subject,
};

use super::{App, Refusal};
use crate::{explain, explain::Moment};

fn moment(app: &App) -> Moment {
    let objects = Arc::clone(&app.controllers.store.clone().snapshot().objects);
    let own = app.controllers.state.borrow().internal_ips.clone();
    Moment::new(objects, &app.controllers.config, &app.controllers.attachments, own)
}

pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Query(question): Query<view::PolicyQuery>,
) -> Result<Json<view::Explained>, Refusal> {
    explain::explain(&moment(&app), &app.controllers.policy, &question).map(Json).map_err(Refusal::invalid)
}

pub(super) async fn check(
    State(app): State<Arc<App>>,
    Json(manifests): Json<BTreeMap<String, String>>,
) -> Result<Json<view::Checked>, Refusal> {
    let checked = tokio::task::spawn_blocking(move || {
        let flows = app.controllers.flows.list()?;
        Ok::<_, std::io::Error>(explain::check(&moment(&app), &manifests, &flows))
    });
    match checked.await {
        Ok(Ok(checked)) => Ok(Json(checked)),
        Ok(Err(error)) => Err(Refusal::unreadable(&error)),
        Err(error) => Err(Refusal::unreadable(&error)),
    }
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Json<Vec<view::Policy>> {
    let moment = moment(&app);
    let issues = app.controllers.policy.issues();
    let policies = moment.objects.policies.values().map(|policy| {
        let selected = moment.endpoints.iter().filter(|endpoint| {
            endpoint.pod.as_ref().and_then(|name| moment.objects.pods.get(name)).is_some_and(|pod| policy.selects(pod))
        });
        let own = Subject::Object(Identity::new(Kind::NetworkPolicy, &policy.name));
        let of = |direction| policy.isolates.contains(&direction);
        view::Policy {
            name: policy.name.to_string(),
            ingress: of(Direction::Ingress).then_some(policy.ingress.len()),
            egress: of(Direction::Egress).then_some(policy.egress.len()),
            pods: selected.filter_map(|endpoint| endpoint.pod.as_ref()).map(ToString::to_string).collect(),
            issues: issues.iter().filter(|issue| issue.subject == own).map(ToString::to_string).collect(),
        }
    });
    Json(policies.collect())
}
