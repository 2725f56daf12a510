//! `ferrule doctor`: follows every link of the chain from lease to veth to program to map entry to the other node, and says
//! in words where it is broken and what to do. Looks; changes nothing.

mod host;
mod ping;
mod pods;
mod remote;
mod services;

use std::sync::Arc;

use ferrule_api::view::Finding;

use crate::{api::App, config::SourceConfig};

/// Runs every check.
pub async fn examine(app: &Arc<App>) -> Vec<Finding> {
    let mut findings = agent(app);
    findings.extend(host::check(app).await);
    findings.extend(pods::check(app).await);
    findings.extend(remote::check(app).await);
    findings.extend(services::check(app).await);
    findings
}

/// What the agent says of itself and of the objects that it reads.
fn agent(app: &App) -> Vec<Finding> {
    let state = Arc::clone(&app.state.borrow());
    let mut findings = Vec::new();
    match &state.waiting {
        _ if state.ready => findings.push(Finding::ok("agent", "ready: pods can be added")),
        Some(reason) => findings.push(Finding::failure(
            "agent",
            "",
            reason,
            "it goes on by itself once that is so; correct what is named",
        )),
        None => findings.push(Finding::failure(
            "agent",
            "",
            "the source of Kubernetes objects has not been read yet",
            match app.config.source {
                SourceConfig::Kubernetes(_) => {
                    "see in `ferrule status` what the API server says, and whether it is reached"
                }
                SourceConfig::Files(_) => "see whether the folder of --manifests can be read",
            },
        )),
    }
    let errors = state.errors.iter();
    findings.extend(errors.map(|error| Finding::failure("agent", "", error, "the agent tries again by itself")));
    let closed = app.listening.problems();
    findings.extend(
        closed.into_iter().map(|words| Finding::failure("agent", "listen", words, "see what `ss -ltnp` names")),
    );
    let mut issues = state.issues.iter().filter(|issue| issue.is_wrong()).peekable();
    if issues.peek().is_none() {
        findings.push(Finding::ok("objects", "nothing is wrong with objects and files"));
    }
    findings.extend(
        issues.map(|issue| Finding::warning("objects", "", issue.to_string(), "correct the object that is named")),
    );
    findings
}
