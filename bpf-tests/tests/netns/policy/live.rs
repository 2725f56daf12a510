//! What changes while connections stand: those that may go on are not touched, those that may not are cut, both ways.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Layout, Pod, patience},
    traffic::{Echo, Flow},
};

use super::{
    door::{Door, Knocking},
    town::{Town, within},
    wires::{Way, Wire},
};

/// One pod that serves, and four that ask: of the same node and of the other, some of which will be cut.
pub struct Five {
    pub web: Pod,
    pub cut: [Pod; 2],
    pub kept: [Pod; 2],
}

/// The labels of those who stay.
pub const KEPT: &str = "app: client, role: friend";
/// The labels of those who are cut.
pub const CUT: &str = "app: client, role: stranger";

impl Five {
    pub fn new(town: &Town<'_>) -> Result<Self> {
        town.namespaces(&[("x", "team: red"), ("y", "team: blue"), ("z", "team: green")])?;
        Ok(Self {
            web: town.pod("x/web", 1, "app: web")?,
            cut: [town.pod("y/near", 1, CUT)?, town.pod("y/far", 2, CUT)?],
            kept: [town.pod("z/friend", 1, KEPT)?, town.pod("z/distant", 2, KEPT)?],
        })
    }

    fn wires(&self, clients: &[Pod; 2]) -> Result<Vec<Wire>> {
        let wires = clients.iter().map(|client| Wire::all(client, &self.web)).collect::<Result<Vec<_>>>()?;
        Ok(wires.into_iter().flatten().collect())
    }
}

/// Only friends reach the web.
pub const ONLY_FRIENDS: (&str, &str) = (
    "x/only-friends",
    "podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {role: friend}}}]}]",
);

/// Strangers reach nobody.
pub const SILENT: (&str, &str) = ("y/silent", "podSelector: {matchLabels: {role: stranger}}, policyTypes: [Egress]");

/// Opens connections, lets something happen that cuts some of them, and takes it back.
fn cuts(
    before: impl Fn(&Town<'_>) -> Result<()>,
    change: impl Fn(&Town<'_>) -> Result<()>,
    back: impl Fn(&Town<'_>) -> Result<()>,
) {
    within(&Layout::default(), |town| {
        let five = Five::new(town)?;
        before(town)?;
        town.settle()?;
        let (cut, kept) = (five.wires(&five.cut)?, five.wires(&five.kept)?);
        let _server = Echo::start(&five.web.netns, &five.web.addresses)?;
        let busy: Vec<Flow> = five
            .kept
            .iter()
            .flat_map(|pod| five.web.addresses.iter().map(|to| Flow::start(&pod.netns, *to)))
            .collect::<Result<_>>()?;
        change(town)?;
        town.settle()?;
        Wire::are_cut(&cut)?;
        kept.iter().try_for_each(Wire::lives).context("after the change")?;
        back(town)?;
        town.settle()?;
        cut.iter().chain(&kept).try_for_each(Wire::lives).context("after the change was taken back")?;
        for flow in busy {
            let longest = flow.end().context("one that was always allowed")?;
            ensure!(longest < patience(Duration::from_millis(1500)), "an allowed one stood still for {longest:?}");
        }
        Ok(())
    });
}

#[test]
fn an_ingress_policy_cuts_what_was_open_before_there_was_any() {
    cuts(|_| Ok(()), |town| town.policies(&[ONLY_FRIENDS]), |town| town.policies(&[]));
}

#[test]
fn an_egress_policy_cuts_what_was_open_before_there_was_any() {
    cuts(|_| Ok(()), |town| town.policies(&[SILENT]), |town| town.policies(&[]));
}

#[test]
fn a_peer_with_other_labels_is_cut() {
    cuts(
        |town| {
            ["y/near", "y/far"].iter().try_for_each(|pod| town.label(pod, KEPT))?;
            town.policies(&[ONLY_FRIENDS])
        },
        |town| ["y/near", "y/far"].iter().try_for_each(|pod| town.label(pod, CUT)),
        |town| ["y/near", "y/far"].iter().try_for_each(|pod| town.label(pod, KEPT)),
    );
}

#[test]
fn a_peer_whose_namespace_has_other_labels_is_cut() {
    let spec = "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [blue, green]}]}}]}]";
    cuts(
        |town| town.policies(&[("x/teams", spec)]),
        |town| town.namespaces(&[("x", "team: red"), ("y", "team: black"), ("z", "team: green")]),
        |town| town.namespaces(&[("x", "team: red"), ("y", "team: blue"), ("z", "team: green")]),
    );
}

#[test]
fn a_subject_that_gets_the_label_is_isolated() {
    let spec = ONLY_FRIENDS.1.replace("app: web", "guarded: \"yes\"");
    cuts(
        |town| town.policies(&[("x/guarded", &spec)]),
        |town| town.label("x/web", "app: web, guarded: \"yes\""),
        |town| town.label("x/web", "app: web"),
    );
}

#[test]
fn an_address_block_that_shrinks_cuts_whom_it_leaves_out() {
    within(&Layout::default(), |town| {
        let five = Five::new(town)?;
        let blocks = |except: &[&Pod]| {
            let of = |v4: bool| {
                let out = except.iter().filter_map(|pod| pod.address(v4));
                out.map(|ip| format!("\"{ip}/{}\"", if v4 { 32 } else { 128 })).collect::<Vec<_>>().join(", ")
            };
            format!(
                "podSelector: {{}}, ingress: [{{from: [{{ipBlock: {{cidr: 10.244.0.0/16, except: [{}]}}}}, {{ipBlock: {{cidr: \"fd00:244::/32\", except: [{}]}}}}]}}]",
                of(true),
                of(false)
            )
        };
        town.policies(&[("x/blocks", &blocks(&[]))])?;
        town.settle()?;
        let (cut, kept) = (five.wires(&five.cut)?, five.wires(&five.kept)?);
        town.policies(&[("x/blocks", &blocks(&[&five.cut[0], &five.cut[1]]))])?;
        town.settle()?;
        Wire::are_cut(&cut)?;
        kept.iter().try_for_each(Wire::lives)
    });
}

#[test]
fn where_only_the_answerer_sends_it_is_cut_and_kept_alike() {
    within(&Layout::default(), |town| {
        let five = Five::new(town)?;
        let (cut, kept) = (five.wires(&five.cut)?, five.wires(&five.kept)?);
        for rule in [ONLY_FRIENDS, SILENT] {
            town.policies(&[rule])?;
            town.settle()?;
            cut.iter().try_for_each(|wire| wire.arrived(Way::Back).map(drop))?;
            for _ in 0..50 {
                for wire in &cut {
                    wire.send(Way::Back)?;
                    ensure!(wire.arrived(Way::Back)? == 0, "{}: an answer passed", rule.0);
                }
                kept.iter().try_for_each(|wire| wire.passes(Way::Back))?;
            }
            town.policies(&[])?;
            town.settle()?;
            cut.iter().try_for_each(|wire| wire.passes(Way::Back))?;
        }
        Ok(())
    });
}

#[test]
fn a_pod_that_terminates_stays_enforced_and_a_peer() {
    within(&Layout::default(), |town| {
        let five = Five::new(town)?;
        let cut = five.wires(&five.cut)?;
        town.policies(&[ONLY_FRIENDS])?;
        for pod in ["x/web", "z/friend", "z/distant", "y/near", "y/far"] {
            town.change(pod, |object| object.terminating = true)?;
        }
        town.settle()?;
        Wire::are_cut(&cut)?;
        // New ones, too.
        five.wires(&five.kept).map(drop)
    });
}

#[test]
fn the_address_of_a_pod_that_failed_is_nobodys() {
    within(&Layout::default(), |town| {
        let five = Five::new(town)?;
        town.policies(&[ONLY_FRIENDS])?;
        town.settle()?;
        let _door = Door::open(&five.web.netns)?;
        let kept = five.wires(&five.kept)?;
        for (phase, passes) in [("Failed", false), ("Running", true), ("Succeeded", false)] {
            for pod in ["z/friend", "z/distant"] {
                town.change(pod, |object| object.phase = phase)?;
            }
            town.settle()?;
            if passes {
                kept.iter().try_for_each(Wire::lives).context(phase)?;
                continue;
            }
            // Flows go with their pods: what the other end sends then is a flow of its own, which nobody forbids.
            Wire::are_cut_for(&kept, &[Way::Forth]).context(phase)?;
            for pod in &five.kept {
                let knocking = Knocking::start(&pod.netns, &five.web.addresses, false);
                thread::sleep(Duration::from_millis(100));
                knocking.was_never_let_in().context(phase)?;
            }
        }
        Ok(())
    });
}
