//! What nobody notices: agents that are rolled to another version, killed, or left without their API server. No datagram is
//! lost, no connection broken, no sandbox fails, no node becomes unready.

use std::{
    collections::BTreeSet,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use serde_json::json;
use test_kit::{
    cluster::{Component, Node, other_version},
    traffic::{Echo, Protocol, probe},
};

use crate::support::{
    Pod, Space, StaticPod, Witness,
    agent::{kubectl, process, readyz, rolled_out, signal, synced},
    churn, ferrule, nodes,
};

#[test]
fn a_roll_to_another_version_and_back_is_not_noticed() {
    let space = Space::new("roll");
    other_version::load(&space.cluster).expect("an image of another version");
    let nodes = nodes();
    let image = "get daemonset ferrule -n kube-system -o jsonpath={.spec.template.spec.containers[0].image}";
    let own = kubectl(&space, image).expect("the DaemonSet");
    let before: Vec<BTreeSet<String>> = nodes.iter().map(layouts).collect();
    let witness = Witness::start(&space);
    let set = |image: &str| {
        let line = format!("set image -n kube-system daemonset/ferrule install={image} agent={image}");
        kubectl(&space, &line).expect("another image");
        rolled_out(&space);
    };
    let ran = churn::meanwhile(&space, |_| {
        set(other_version::IMAGE);
        let after: Vec<BTreeSet<String>> = nodes.iter().map(layouts).collect();
        let changed = before.iter().zip(&after).all(|(before, after)| before != after);
        set(&own);
        assert!(changed, "the other version has the same maps: {after:?}");
    });
    space.until("the other version's maps are gone", || {
        let after: Vec<BTreeSet<String>> = nodes.iter().map(layouts).collect();
        if after == before { Ok(()) } else { bail!("{after:?}, and before {before:?}") }
    });
    assert!(ran > 1, "only {ran} pods ran meanwhile");
    witness.saw_nothing(&space);
}

/// The folders of maps on a node, one for each layout.
fn layouts(node: &Node) -> BTreeSet<String> {
    let folders = node.machine.run("find /sys/fs/bpf/ferrule -maxdepth 1 -type d").expect("the pins are there");
    folders.lines().map(str::to_owned).collect()
}

#[test]
fn agents_that_are_killed_are_not_noticed() {
    let space = Space::new("agent-killed");
    let witness = Witness::start(&space);
    let ran = churn::meanwhile(&space, |ran| {
        // Both by turns, until a pod has come and gone on each.
        let nodes = nodes();
        for node in nodes.iter().take(2).cycle().take(6).take_while(|_| ran.load(Ordering::Relaxed) < 2) {
            let before = process(node).expect("its agent runs");
            signal(node, "KILL");
            space.until("another one runs", || {
                let after = process(node)?;
                if after == before { bail!("still {before}") } else { Ok(()) }
            });
            synced(&space, node);
        }
    });
    assert!(ran > 1, "only {ran} pods ran meanwhile");
    witness.saw_nothing(&space);
}

#[test]
fn a_minute_without_the_api_server_is_not_noticed() {
    let space = Space::new("api-away");
    let nodes = nodes();
    let from_file = StaticPod::start(&space, &nodes[1], "fleeting");
    space.apply(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
        "spec": {"podSelector": {"matchLabels": {"app": "vault"}}},
    }));
    let vault = space.pod("vault", nodes[1].name(), &[("app", "vault")]);
    from_file.running(&space);
    let witness = Witness::start(&space);
    let hidden = Echo::start(&vault.netns, &vault.ips).expect("an echo server");
    let control = &space.cluster.control;
    control.kill(Component::ApiServer).expect("it is killed");
    let away = Instant::now();
    for node in &nodes {
        space.until("its status tells", || {
            let status = node.ferrule("status")?;
            if status.contains("cannot be watched") { Ok(()) } else { bail!("{status}") }
        });
    }
    in_force(&witness.client, &witness.server, &vault).expect("nothing changed");
    // An agent that starts now adopts what is there, and says that it has read nothing.
    let before = process(&nodes[1]).expect("its agent runs");
    signal(&nodes[1], "KILL");
    space.until("another agent serves, and is not synced", || {
        ensure!(process(&nodes[1])? != before, "still {before}");
        let (number, words) = readyz(&nodes[1])?;
        ensure!(number == 503 && words.contains("have not been read yet"), "{number}: {words}");
        let status = nodes[1].ferrule("status")?;
        ensure!(status.contains("not read yet"), "{status}");
        Ok(())
    });
    in_force(&witness.client, &witness.server, &vault).expect("nothing changed");
    // A kubelet ends a pod of a file by itself: DEL works.
    let served = |pod: &str| {
        let endpoints = ferrule(&nodes[1], "endpoint list");
        endpoints.as_array().is_some_and(|all| all.iter().any(|one| one["pod"] == format!("{}/{pod}", space.name)))
    };
    assert!(served("fleeting-n2") && served("server"));
    drop(from_file);
    space.until("the pod's network is gone", || if served("fleeting-n2") { bail!("it is there") } else { Ok(()) });
    assert!(served("server"));
    thread::sleep(Duration::from_secs(60).saturating_sub(away.elapsed()));
    in_force(&witness.client, &witness.server, &vault).expect("nothing changed");
    control.start(Component::ApiServer).expect("it starts");
    control.await_ready().expect("it is ready");
    nodes.iter().for_each(|node| synced(&space, node));
    in_force(&witness.client, &witness.server, &vault).expect("nothing changed");
    drop(hidden);
    space.pod("later", nodes[1].name(), &[]);
    witness.saw_nothing(&space);
}

/// New connections reach one pod, and none the other, which a policy isolates.
fn in_force(client: &Pod, open: &Pod, isolated: &Pod) -> Result<()> {
    for v6 in [false, true] {
        probe(&client.netns, open.ip(v6), Protocol::Tcp)?;
        ensure!(probe(&client.netns, isolated.ip(v6), Protocol::Udp).is_err(), "{} is reached", isolated.name);
    }
    Ok(())
}
