//! What `ferrule doctor` and `ferrule connectivity test` find.

use serde::{Deserialize, Serialize};

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
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
    pub verdict: Severity,
    /// What was found.
    pub words: String,
    /// What to do about it; empty where all is well.
    pub fix: String,
    /// `ferrule doctor --fix` mends it; so does the agent by itself within half a minute.
    pub mendable: bool,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ok(check: &str, words: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            subject: String::new(),
            verdict: Severity::Ok,
            words: words.into(),
            fix: String::new(),
            mendable: false,
        }
    }

    /// Something does not work.
    #[must_use]
    pub fn failure(check: &str, subject: impl Into<String>, words: impl Into<String>, fix: impl Into<String>) -> Self {
        let (subject, words, fix) = (subject.into(), words.into(), fix.into());
        Self { check: check.into(), subject, verdict: Severity::Failure, words, fix, mendable: false }
    }

    /// It may do harm.
    #[must_use]
    pub fn warning(check: &str, subject: impl Into<String>, words: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Severity::Warning, ..Self::failure(check, subject, words, fix) }
    }

    /// `ferrule doctor --fix` mends it.
    #[must_use]
    pub fn mendable(check: &str, subject: impl Into<String>, words: impl Into<String>) -> Self {
        const FIX: &str = "run `ferrule doctor --fix`, or wait for the agent to do it within half a minute";
        Self { mendable: true, ..Self::failure(check, subject, words, FIX) }
    }
}
