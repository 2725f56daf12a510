//! Services: the socket programs on their cgroup, and the maps that they read.

use std::sync::Arc;

use ferrule_api::{chain::chain, view::Finding};

use crate::controllers::Controllers;

pub(super) async fn check(controllers: &Arc<Controllers>) -> Vec<Finding> {
    let asked = Arc::clone(controllers);
    tokio::task::spawn_blocking(move || look(&asked)).await.unwrap_or_default()
}

fn look(controllers: &Controllers) -> Vec<Finding> {
    const CHECK: &str = "services";
    if !controllers.config.services.on {
        return vec![Finding::ok(CHECK, "switched off")];
    }
    let mut findings = Vec::new();
    match controllers.services.missing_programs() {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            let words = format!("not attached to the cgroup: {}", missing.join(", "));
            findings.push(Finding::mendable(CHECK, "socket programs", words));
        }
        Err(error) => findings.push(Finding::failure(CHECK, "socket programs", chain(&error), "mend what is named")),
    }
    match controllers.services.differences() {
        Ok(phrases) => findings.extend(phrases.into_iter().map(|words| Finding::mendable(CHECK, "maps", words))),
        Err(error) => findings.push(Finding::failure(CHECK, "maps", chain(&error), "see the kernel's log")),
    }
    if findings.is_empty() {
        let summary = controllers.services.summary();
        findings.push(Finding::ok(CHECK, format!("{} are translated at the socket", summary.services)));
    }
    findings
}
