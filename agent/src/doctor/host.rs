//! The host: forwarding, firewall, devices and their programs.

use std::sync::{Arc, PoisonError};

use ferrule_api::{chain::chain, view::Finding};
use ferrule_common::Program;
use ferrule_kernel::{
    bpf::Direction,
    net::{
        firewall,
        firewall::{Dropping, Hook},
        link, sysctl,
    },
};

use crate::{config::Routing, controllers::Controllers, reconcile, reconcile::OVERLAY};

pub(super) async fn check(controllers: &Arc<Controllers>) -> Vec<Finding> {
    let mut findings = forwarding();
    findings.extend(firewall(controllers));
    findings.extend(devices(controllers).await);
    findings
}

fn forwarding() -> Vec<Finding> {
    let wrong = sysctl::forwarding_differences();
    if wrong.is_empty() {
        return vec![Finding::ok("host", "forwarding is on")];
    }
    wrong.into_iter().map(|words| Finding::mendable("host", "", words)).collect()
}

fn firewall(controllers: &Controllers) -> Vec<Finding> {
    match firewall::dropping_chains() {
        Err(error) => vec![Finding::warning(
            "host",
            "firewall",
            format!("its rules cannot be read: {error}"),
            "see by hand whether `nft list ruleset` drops pods or VXLAN",
        )],
        Ok(chains) if chains.is_empty() => {
            vec![Finding::ok("host", "no chain of nf_tables drops what no rule accepts")]
        }
        Ok(chains) => chains.iter().filter_map(|chain| dropping(controllers, chain)).collect(),
    }
}

/// What such a chain means for pods, and the rule that would help.
fn dropping(controllers: &Controllers, dropping: &Dropping) -> Option<Finding> {
    let Dropping { family, table, chain, hook } = dropping;
    let subject = format!("chain {chain} of table {family} {table}");
    let port = controllers.config.vxlan_port;
    let (words, fix) = match hook {
        Hook::Forward => (
            "drops forwarded packets that no rule accepts: pods may not reach the outside, nor be reached through the \
             node's stack (pods among each other are not concerned)"
                .to_owned(),
            format!(
                "let it accept pods' devices: nft insert rule {family} {table} {chain} iifname \"fr*\" accept, and the \
                 same with oifname"
            ),
        ),
        Hook::Input if controllers.config.routing != Routing::Native => (
            format!("drops what no rule accepts: other nodes' tunnel packets (UDP port {port}) may not arrive"),
            format!("let it accept them: nft insert rule {family} {table} {chain} udp dport {port} accept"),
        ),
        Hook::Output if controllers.config.routing != Routing::Native => (
            format!("drops what no rule accepts: tunnel packets (UDP port {port}) may not leave"),
            format!("let it accept them: nft insert rule {family} {table} {chain} udp dport {port} accept"),
        ),
        Hook::Input | Hook::Output => return None,
    };
    Some(Finding::warning("host", subject, words, fix))
}

async fn devices(controllers: &Arc<Controllers>) -> Vec<Finding> {
    let state = Arc::clone(&controllers.state.borrow());
    let own = state.devices.iter().map(|name| (name.clone(), Some((Program::FromNetdev, Program::ToNetdev))));
    let others = state.other_devices.iter().map(|name| (name.clone(), None));
    let overlay = (controllers.config.routing != Routing::Native)
        .then(|| (OVERLAY.to_owned(), Some((Program::FromOverlay, Program::ToOverlay))));
    let mut findings = Vec::new();
    for (name, programs) in own.chain(overlay).chain(others) {
        match link::by_name(&controllers.net, &name).await {
            Ok(Some(device)) => {
                let (ingress, egress) = match programs {
                    Some((ingress, _)) if !device.ethernet => (Some(ingress), Program::ToBare),
                    Some((ingress, egress)) => (Some(ingress), egress),
                    None => reconcile::programs(&device),
                };
                findings.extend(device_findings(controllers, &device, ingress, egress));
            }
            // It leads nowhere, and may go.
            Ok(None) if programs.is_none() => {}
            Ok(None) => findings.push(Finding::mendable("devices", name, "the device does not exist")),
            Err(error) => findings.push(Finding::failure("devices", name, chain(&error), "see the kernel's log")),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("devices", "programs are on every device of the node"));
    }
    findings
}

fn device_findings(
    controllers: &Controllers,
    device: &link::Device,
    ingress: Option<Program>,
    egress: Program,
) -> Vec<Finding> {
    let name = &device.name;
    let mut findings = Vec::new();
    // One that leads to no other node may be down.
    let leads = matches!(egress, Program::ToNetdev | Program::ToOverlay);
    if !device.up && leads {
        findings.push(match name.as_str() {
            OVERLAY => Finding::mendable("devices", name, "the device is down"),
            _ => Finding::failure("devices", name, "the device is down", format!("ip link set {name} up")),
        });
    }
    if name == OVERLAY {
        let wrong = sysctl::differences(name).into_iter();
        findings.extend(wrong.map(|words| Finding::mendable("devices", name, words)));
        let mtu = controllers.state.borrow().mtu;
        if device.mtu != mtu {
            findings.push(Finding::mendable("devices", name, format!("it has MTU {} and not {mtu}", device.mtu)));
        }
    }
    let hooks = [(ingress, Direction::Ingress), (Some(egress), Direction::Egress)];
    for (program, direction) in hooks.into_iter().filter_map(|(program, hook)| Some((program?, hook))) {
        let mut programs = controllers.programs.lock().unwrap_or_else(PoisonError::into_inner);
        match programs.is_attached(program, name, device.ifindex, direction) {
            Ok(true) => {}
            Ok(false) => {
                findings.push(Finding::mendable("devices", name, format!("{} is not attached", program.name())));
            }
            Err(error) => findings.push(Finding::failure("devices", name, chain(&error), "see the kernel's log")),
        }
    }
    findings
}
