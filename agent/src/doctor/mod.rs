//! `ferrule doctor`: follows every link of the chain from lease to veth to program to map entry to the other node, and says
//! in words where it is broken and what to do. Looks; changes nothing.

mod host;
mod ping;
mod pods;
mod remote;
mod services;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{api::App, config::SourceConfig};

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It may do harm, or the agent cannot tell.
    Warning,
    /// Something does not work.
    Failure,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was checked: `agent`, `objects`, `host`, `devices`, `pods`, `maps`, `routes`, `nodes` or `services`.
    pub check: String,
    /// Whom it concerns: a pod, a device, a node; empty for the check as a whole.
    pub subject: String,
    /// How it went.
    pub verdict: Verdict,
    /// What was found.
    pub words: String,
    /// What to do about it; empty where all is well.
    pub fix: String,
    /// `ferrule doctor --fix` mends it; so does the agent by itself within half a minute.
    pub mendable: bool,
}

impl Finding {
    /// As it should be.
    pub(crate) fn ok(check: &str, words: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            subject: String::new(),
            verdict: Verdict::Ok,
            words: words.into(),
            fix: String::new(),
            mendable: false,
        }
    }

    /// Something does not work.
    pub(crate) fn failure(
        check: &str,
        subject: impl Into<String>,
        words: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (subject, words, fix) = (subject.into(), words.into(), fix.into());
        Self { check: check.into(), subject, verdict: Verdict::Failure, words, fix, mendable: false }
    }

    /// It may do harm.
    pub(crate) fn warning(
        check: &str,
        subject: impl Into<String>,
        words: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { verdict: Verdict::Warning, ..Self::failure(check, subject, words, fix) }
    }

    fn mendable(check: &str, subject: impl Into<String>, words: impl Into<String>) -> Self {
        const FIX: &str = "run `ferrule doctor --fix`, or wait for the agent to do it within half a minute";
        Self { mendable: true, ..Self::failure(check, subject, words, FIX) }
    }
}

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
