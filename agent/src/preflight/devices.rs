//! Devices, filters and the programs themselves, tried in a network namespace that nobody else sees and that goes with
//! the thread which made it.

use std::thread;

use aya::programs::tc;
use ferrule_kernel::{bpf, net};
use nix::sched::{CloneFlags, unshare};
use rtnetlink::{Handle, LinkVeth, LinkVxlan};

use super::{Check, Depth};
use crate::config::{Config, Routing};

/// Every check of devices; one that says why, where there can be none.
pub(super) fn all(config: &Config, depth: Depth) -> Vec<Check> {
    let (globals, routing) = (bpf::Globals::new(&config.datapath()), config.routing);
    let probing = thread::Builder::new().name("preflight".into()).spawn(move || probe(globals, routing, depth));
    let outcome = probing.map_err(anyhow::Error::from).and_then(|thread| match thread.join() {
        Ok(outcome) => outcome,
        Err(_) => Err(anyhow::anyhow!("a check panicked")),
    });
    outcome.unwrap_or_else(|error| {
        vec![Check::fails(
            "network namespaces",
            format!("{error:#}"),
            "pods live in them: boot a kernel with CONFIG_NET_NS, and run the agent with CAP_SYS_ADMIN",
        )]
    })
}

fn probe(globals: bpf::Globals, routing: Routing, depth: Depth) -> anyhow::Result<Vec<Check>> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut checks = runtime.block_on(async {
        let net = net::connect()?;
        anyhow::Ok(vec![veth(&net).await, vxlan(&net, routing).await])
    })?;
    checks.push(clsact());
    if depth == Depth::Whole {
        checks.push(programs(&globals));
    }
    Ok(checks)
}

async fn veth(net: &Handle) -> Check {
    match net.link().add(LinkVeth::new("veth0", "veth1").build()).execute().await {
        Ok(()) => Check::ok("veth", "yes", "pods' links"),
        Err(error) => Check::fails("veth", error.to_string(), "load the module veth (CONFIG_VETH)"),
    }
}

async fn vxlan(net: &Handle, routing: Routing) -> Check {
    let device = LinkVxlan::new("vxlan0", 0).collect_metadata(true).learning(false);
    match (net.link().add(device.build()).execute().await, routing) {
        (Ok(()), _) => Check::ok("VXLAN", "yes", "the overlay's device"),
        (Err(error), Routing::Native) => Check::ok("VXLAN", error.to_string(), "not needed with --routing native"),
        (Err(error), _) => {
            let means = "load the module vxlan (CONFIG_VXLAN), or route pods natively (--routing native)";
            Check::fails("VXLAN", error.to_string(), means)
        }
    }
}

fn clsact() -> Check {
    match tc::qdisc_add_clsact("lo") {
        Ok(()) => Check::ok("clsact", "yes", "pods' links take filters of it"),
        Err(error) => Check::fails("clsact", error.to_string(), "load the module sch_ingress (CONFIG_NET_SCH_INGRESS)"),
    }
}

fn programs(globals: &bpf::Globals) -> Check {
    const WHAT: &str = "the programs";
    match bpf::load::rehearse(globals, "lo") {
        Ok(count) => Check::ok(WHAT, format!("{count} of {count}"), "the verifier and clsact take them"),
        Err(error) => Check::fails(WHAT, "refused", format!("{error:#}; report it with this table")),
    }
}
