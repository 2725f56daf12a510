//! `ferrule doctor`: follows every link of the chain from lease to veth to program to map entry to the other node, and says
//! in words where it is broken and what to do. Looks; changes nothing.

mod host;
mod ping;
mod pods;
mod remote;
mod services;

use std::sync::Arc;

use ferrule_api::view::Finding;

use crate::{config::SourceConfig, controllers::Controllers};

/// Runs every check. `unheard` says which addresses of `listen` cannot be listened on.
pub async fn examine(controllers: &Arc<Controllers>, unheard: Vec<String>) -> Vec<Finding> {
    let mut findings = agent(controllers, unheard);
    findings.extend(host::check(controllers).await);
    findings.extend(pods::check(controllers).await);
    findings.extend(remote::check(controllers).await);
    findings.extend(services::check(controllers).await);
    findings
}

/// What the agent says of itself and of the objects that it reads.
fn agent(controllers: &Controllers, unheard: Vec<String>) -> Vec<Finding> {
    let state = Arc::clone(&controllers.state.borrow());
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
            match controllers.config.source {
                SourceConfig::Kubernetes(_) => {
                    "see in `ferrule status` what the API server says, and whether it is reached"
                }
                SourceConfig::Files(_) => "see whether the folder of --manifests can be read",
            },
        )),
    }
    let errors = state.errors.iter();
    findings.extend(errors.map(|error| Finding::failure("agent", "", error, "the agent tries again by itself")));
    findings.extend(
        unheard.into_iter().map(|words| Finding::failure("agent", "listen", words, "see what `ss -ltnp` names")),
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
