//! Runs tests by tier, and sums up what all tiers said.

mod nextest;
mod summary;
mod tier;
mod together;

use std::time::Instant;

use anyhow::{Result, bail};
pub use summary::Summary;
pub use tier::Tier;

use crate::{
    cluster, differential, ebpf, kernels, mutants,
    privilege::{self, Privilege},
    setup,
    step::step,
    times,
    workspace::Workspace,
};

/// Runs `tier`, or all, also after one failed. The last line is the sum: `N passed, N failed`.
///
/// # Errors
/// Where a test failed, or a tier had none to run.
pub fn run(workspace: &Workspace, tier: Option<Tier>, arguments: &[String]) -> Result<()> {
    let tiers = tier.map_or(Tier::ALL.to_vec(), |tier| vec![tier]);
    // Of the kernels, every change meets the oldest; who asks for the tier gets all.
    let oldest = [kernels::oldest()];
    let kernels = if tier.is_none() && arguments.is_empty() { &oldest[..] } else { arguments };
    // Before anything takes its time: whether the tests can run at all.
    let privilege = privilege::root("make network namespaces and load eBPF programs, as the tests do")?;
    for tier in &tiers {
        setup::tier(workspace, *tier)?;
    }
    ebpf::build(workspace)?;
    // One build for all tiers: the same packages with the same features, so that nothing is compiled twice.
    step("build everything and its tests", workspace.cargo().args(["build", "--bins", "--tests"]))?;
    if tiers.contains(&Tier::Netns) || tiers.contains(&Tier::Cluster) {
        other_agent(workspace)?;
    }

    let (mut sum, mut wrong) = (Summary::default(), Vec::new());
    for tier in tiers {
        println!("\n== {tier}: {}", tier.about());
        let start = Instant::now();
        let summary = tier_of(workspace, tier, privilege, if tier == Tier::Kernels { kernels } else { arguments })?;
        times::note(&format!("tier {tier}"), start.elapsed());
        if summary.failed > 0 || !summary.succeeded {
            wrong.push(format!("{tier} failed"));
        } else if summary.passed == 0 {
            wrong.push(format!("{tier} ran no test"));
        }
        sum.add(&summary);
    }
    if !wrong.is_empty() {
        println!("\n{}", wrong.join(", "));
    }
    times::print();
    println!("\n{} passed, {} failed", sum.passed, sum.failed);
    if !wrong.is_empty() {
        bail!("tests: {}", wrong.join(", "));
    }
    Ok(())
}

/// The agent with another layout of every map, for takeovers. Built with the features of everything, so that nothing but
/// the agent is compiled again.
fn other_agent(workspace: &Workspace) -> Result<()> {
    ebpf::build_other(workspace)?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--bin", "ferrule-agent-other", "--features", "ferrule-agent/other-layout"]);
    step("build the agent with another layout", &mut cargo)
}

fn tier_of(workspace: &Workspace, tier: Tier, privilege: Privilege, arguments: &[String]) -> Result<Summary> {
    if tier == Tier::Kernels {
        return kernels::run(workspace, arguments);
    }
    if tier == Tier::Cluster {
        cluster::start(workspace, privilege)?;
    }
    let mut sum = Summary { succeeded: true, ..Summary::default() };
    for part in tier.parts() {
        let through_sudo = part.privileged && privilege == Privilege::Sudo;
        sum.add(&if part.together {
            together::run(workspace, part.filter, arguments)?
        } else {
            nextest::run(workspace, part.filter, through_sudo, arguments)?
        });
    }
    // One that a developer asked for stays, to be looked into.
    if tier == Tier::Cluster && sum.failed == 0 && sum.succeeded {
        cluster::end(workspace, privilege)?;
    }
    if tier == Tier::Packets && arguments.is_empty() {
        sum.add(&differential::test(workspace)?);
        sum.add(&mutants::test(workspace)?);
    }
    Ok(sum)
}
