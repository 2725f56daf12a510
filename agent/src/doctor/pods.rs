//! This node's pods: lease, namespace, link, programs, map entries, routes, neighbours.

use std::{path::Path, sync::Arc};

use ferrule_api::{chain::chain, view::Finding};
use ferrule_kernel::net::survey::Survey;

use crate::{attachment::who, controllers::Controllers, lease::State};

const ANEW: &str = "delete the pod, so that it is made anew";

pub(super) async fn check(controllers: &Arc<Controllers>) -> Vec<Finding> {
    let survey = match Survey::take(controllers.attachments.net()).await {
        Ok(survey) => survey,
        Err(error) => return vec![Finding::failure("pods", "", chain(&error), "see the kernel's log")],
    };
    let leases = controllers.attachments.leases();
    let mut findings = Vec::new();
    for lease in leases.iter().filter(|lease| lease.state == State::Active) {
        if !Path::new(&lease.netns).exists() {
            let words = format!("its network namespace {} cannot be seen", lease.netns);
            findings.push(Finding::warning(
                "pods",
                who(lease),
                words,
                "where the pod is gone, its runtime owes a DEL; where the agent runs in a container, let it see /run/netns",
            ));
        }
        match controllers.attachments.examine(lease, &survey).await {
            Ok(damage) => findings.extend(damage.into_iter().map(|damage| {
                if damage.mendable {
                    Finding::mendable("pods", who(lease), damage.words)
                } else {
                    Finding::failure("pods", who(lease), damage.words, ANEW)
                }
            })),
            Err(error) => findings.push(Finding::failure("pods", who(lease), chain(&error), "see the kernel's log")),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("pods", format!("all {} pods have what they need", leases.len())));
    }
    findings
}
