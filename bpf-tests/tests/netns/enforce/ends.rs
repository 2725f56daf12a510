//! From ADD to DEL: what is ours comes and goes, and the other plugin's link stays what it is.

use anyhow::{Result, ensure};
use test_kit::topology::{Layout, Netns, Node, Pod, run, until};

use super::{Maker, check, del, filters, link, nothing_is_left};
use crate::{
    lasting::Lasting,
    support::{all_reach_all, ends, says, within},
};

fn one() -> Layout {
    Layout { nodes: 1, ..Layout::default() }
}

/// A link and its routes.
fn shown(node: &Node, link: &str) -> Result<String> {
    Ok(node.netns.ip(&format!("link show {link}"))? + &node.netns.ip(&format!("route show dev {link}"))?)
}

fn from_beginning_to_end(maker: Maker) {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let pods = [maker.add(node, "a")?, maker.add(node, "b")?];
        for pod in &pods {
            check(node, pod)?;
            let found = filters(node, &link(pod)?)?;
            ensure!(found.contains("from_pod") && found.contains("to_pod"), "{found}");
        }
        let endpoints = node.ferrule("endpoint list")?;
        ensure!(endpoints[0]["enforceOnly"] == true && endpoints[1]["enforceOnly"] == true, "{endpoints}");
        let failures = |node: &Node| -> Result<Vec<_>> {
            let found = node.doctor()?.into_iter();
            Ok(found.filter(|one| one["check"] == "pods" && one["verdict"] == "failure").collect())
        };
        ensure!(failures(node)?.is_empty(), "{:?}", failures(node)?);
        let before = [shown(node, &link(&pods[0])?)?, shown(node, &link(&pods[1])?)?];
        // Whole rounds of healing, which this waits for, find nothing to mend on a link that is not ours.
        node.ferrule("doctor --fix")?;
        for (pod, before) in pods.iter().zip(before) {
            let after = shown(node, &link(pod)?)?;
            ensure!(after == before, "before:\n{before}\nafter:\n{after}");
        }
        for pod in &pods {
            for _ in 0..2 {
                del(node, pod)?;
            }
            ensure!(pod.netns.links()? == ["eth0"], "the pod's side stays");
            ensure!(node.netns.links()?.contains(&link(pod)?), "the host's side stays");
        }
        nothing_is_left(node, &link(&pods[0])?)?;
        nothing_is_left(node, &link(&pods[1])?)?;
        // Nothing is in the other plugin's way.
        all_reach_all(&ends(cluster, &[&pods[0], &pods[1]]))?;
        for pod in &pods {
            maker.del(node, pod)?;
            ensure!(!node.netns.links()?.contains(&link(pod)?), "the other plugin removes its link");
            del(node, pod)?;
        }
        Ok(())
    });
}

#[test]
fn what_is_ours_on_a_bridges_link_comes_and_goes() {
    from_beginning_to_end(Maker::Bridge);
}

#[test]
fn what_is_ours_on_ptps_link_comes_and_goes() {
    from_beginning_to_end(Maker::Ptp);
}

#[test]
fn a_del_after_the_link_is_gone_frees_the_rest() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let pod = Maker::Bridge.add(node, "a")?;
        let host = link(&pod)?;
        node.netns.ip(&format!("link del {host}"))?;
        del(node, &pod)?;
        nothing_is_left(node, &host)
    });
}

#[test]
fn a_pod_that_vanished_without_a_del_is_forgotten() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let Pod { netns, result, addresses, .. } = Maker::Bridge.add(node, "a")?;
        let host = link(&Pod { name: "a".into(), netns: Netns::known(netns.name()), addresses, result })?;
        drop(netns);
        until("everything to be gone", || nothing_is_left(node, &host), Result::is_ok)?
    });
}

#[test]
fn a_del_while_the_agent_is_away_is_made_up_for() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let (gone, stays) = (Maker::Bridge.add(node, "a")?, Maker::Bridge.add(node, "b")?);
        let (first, second) = (link(&gone)?, link(&stays)?);
        node.stop()?;
        for pod in [&gone, &stays] {
            del(node, pod)?;
            ensure!(pod.netns.links()? == ["eth0"]);
        }
        Maker::Bridge.del(node, &gone)?;
        node.start()?;
        let left = || nothing_is_left(node, &first).and_then(|()| nothing_is_left(node, &second));
        until("the notes to be applied", left, Result::is_ok)??;
        ensure!(stays.netns.links()? == ["eth0"], "a link of another plugin's stays");
        Ok(())
    });
}

#[test]
fn a_restarted_agent_puts_its_own_programs_in_the_place_of_the_others_under_traffic() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let (a, b) = (Maker::Bridge.add(node, "a")?, Maker::Bridge.add(node, "b")?);
        let before = filters(node, &link(&b)?)?;
        let traffic = Lasting::start(&a, &[&b])?;
        node.kill()?;
        node.start()?;
        node.stop()?;
        node.start()?;
        let ours =
            |found: &String| found.matches("name from_pod").count() == 1 && found.matches("name to_pod").count() == 1;
        let replaced = |found: &Result<String>| found.as_ref().is_ok_and(|found| ours(found) && *found != before);
        until("the programs to be replaced", || filters(node, &link(&b)?), replaced)??;
        traffic.ends_undisturbed()?;
        check(node, &a)?;
        check(node, &b)
    });
}

#[test]
fn check_names_what_is_damaged_and_the_agent_mends_it() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let pod = Maker::Ptp.add(node, "a")?;
        let host = link(&pod)?;
        run(node.netns.command("tc").args(["filter", "del", "dev", &host, "ingress"]))?;
        says(check(node, &pod), &["from_pod is not attached", &host])?;
        until("it to be mended", || check(node, &pod), Result::is_ok)?
    });
}

#[test]
fn anothers_filter_on_the_link_stays() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let pod = Maker::Bridge.add(node, "a")?;
        let host = link(&pod)?;
        let theirs = ["filter", "add", "dev", &host, "ingress", "prio", "9", "u32", "match", "u32", "0", "0"];
        run(node.netns.command("tc").args(theirs))?;
        node.stop()?;
        node.start()?;
        until("it to be whole", || check(node, &pod), Result::is_ok)??;
        del(node, &pod)?;
        nothing_is_left(node, &host)?;
        ensure!(filters(node, &host)?.contains("u32"));
        Ok(())
    });
}

#[test]
fn a_lost_state_directory_leaves_the_programs_in_force() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let pod = Maker::Bridge.add(node, "a")?;
        let host = link(&pod)?;
        node.stop()?;
        std::fs::remove_dir_all(node.state())?;
        node.start()?;
        let told = || node.ferrule("status").unwrap_or_default()["errors"].to_string();
        until("the link without a lease to be named", told, |errors| errors.contains(&host))?;
        let found = filters(node, &host)?;
        ensure!(found.contains("from_pod") && found.contains("to_pod"), "{found}");
        // As the words say: the pod is deleted.
        del(node, &pod)?;
        Maker::Bridge.del(node, &pod)?;
        until("nothing to be left", || nothing_is_left(node, &host), Result::is_ok)?
    });
}

#[test]
fn cleanup_takes_the_programs_and_leaves_the_link() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let pods = [Maker::Bridge.add(node, "a")?, Maker::Bridge.add(node, "b")?];
        node.stop()?;
        node.cleanup()?;
        for pod in &pods {
            let found = filters(node, &link(pod)?)?;
            ensure!(!found.contains("_pod"), "{found}");
        }
        all_reach_all(&[(&pods[0]).into(), (&pods[1]).into()])
    });
}
