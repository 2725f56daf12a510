//! Many pods at once, killed plugins, and garbage collection.

use std::{collections::BTreeSet, thread, time::Duration};

use anyhow::{Result, ensure};
use serde_json::json;
use test_kit::topology::{Cluster, Layout, Netns, Node, Pod};

use crate::support::{all_reach_all, ends, within};

fn one() -> Layout {
    Layout { nodes: 1, ..Layout::default() }
}

/// Does the same for every item, side by side.
fn parallel<T: Send, U: Send>(items: Vec<T>, work: impl Fn(T) -> Result<U> + Sync) -> Result<Vec<U>> {
    thread::scope(|scope| {
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(|| work(item))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// That nothing of any pod is left.
fn is_clean(node: &Node) -> Result<()> {
    let left: Vec<_> = node.netns.links()?.into_iter().filter(|link| link.starts_with("fr")).collect();
    ensure!(left.is_empty(), "links are left: {left:?}");
    for question in ["endpoint list", "ip list", "map dump fr_endpoints", "map dump fr_links"] {
        let answer = node.ferrule(question)?;
        ensure!(answer == json!([]), "{question}: {answer}");
    }
    Ok(())
}

#[test]
fn fifty_pods_come_and_go_side_by_side() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let pods = parallel((0..50).collect(), |number| node.add(&format!("p{number}")))?;
        let addresses: BTreeSet<_> = pods.iter().flat_map(|pod| &pod.addresses).collect();
        ensure!(addresses.len() == 100, "{} distinct addresses", addresses.len());
        parallel(pods.iter().collect(), |pod| node.check(pod))?;
        let some: Vec<&Pod> = pods.iter().step_by(17).collect();
        all_reach_all(&ends(cluster, &some))?;
        parallel(pods.iter().collect(), |pod| node.del(pod))?;
        is_clean(node)
    });
}

#[test]
fn adds_and_dels_interleave() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        parallel((0..16).collect(), |number| {
            for round in 0..3 {
                let pod = node.add(&format!("p{number}r{round}"))?;
                node.check(&pod)?;
                node.del(&pod)?;
            }
            Ok(())
        })?;
        is_clean(node)
    });
}

#[test]
fn an_add_that_is_killed_at_any_moment_leaves_nothing_after_del() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let mut killed = 0;
        for step in 0..30 {
            let name = format!("k{step}");
            let netns = pod_netns(cluster, &name)?;
            let add = node.invocation("ADD", &name, &netns.path());
            let mut process = add.spawn(&node.netns)?;
            thread::sleep(Duration::from_micros(1000 * step));
            process.kill()?;
            killed += u32::from(!process.wait()?.success());
            node.invocation("DEL", &name, &netns.path()).run(&node.netns)?;
            ensure!(netns.links()?.is_empty(), "{name} is left with {:?}", netns.links());
        }
        ensure!(killed > 5, "only {killed} were killed in time");
        is_clean(node)?;
        let pod = node.add("after")?;
        node.check(&pod)
    });
}

#[test]
fn gc_removes_what_is_not_listed_and_nothing_else() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let (keep, gone) = (node.add("keep")?, node.add("gone")?);
        let gc = node.invocation("GC", "", "".as_ref());
        let valid = json!([{"containerID": "keep", "ifname": "eth0"}]);
        let other = gc.clone().with("name", json!("another-network")).with("cni.dev/valid-attachments", json!([]));
        other.run(&node.netns)?;
        node.check(&gone)?;
        gc.with("cni.dev/valid-attachments", valid).run(&node.netns)?;
        node.check(&keep)?;
        ensure!(gone.netns.links()?.is_empty(), "its link is there");
        let left = node.ferrule("endpoint list")?;
        ensure!(left.as_array().is_some_and(|left| left.len() == 1), "{left}");
        Ok(())
    });
}

fn pod_netns(cluster: &Cluster, name: &str) -> Result<Netns> {
    let node = cluster.nodes[0].netns.name();
    Netns::new(&format!("{}-{name}", node.split('-').next().unwrap_or(node)))
}
