//! What must not be noticed: components that are killed and come back, under traffic.

use std::{thread, time::Duration};

use anyhow::{Result, bail};
use bpf_tests::{
    cluster::Component,
    traffic::{Echo, Flow},
};
use serde_json::Value;

use crate::support::{Pod, Space, nodes};

/// Two pods on two nodes, a flow of each family between them, and the longest that an exchange took while `work` happened.
fn under_traffic(test: &str, work: impl FnOnce(&Space)) -> Duration {
    let space = Space::new(test);
    let nodes = nodes();
    let (server, client) = (space.pod("server", nodes[1].name(), &[]), space.pod("client", nodes[0].name(), &[]));
    let echo = Echo::start(&server.netns, &server.ips).expect("an echo server");
    let flow = |v6| Flow::start(&client.netns, server.ip(v6)).expect("a flow");
    let flows = [flow(false), flow(true)];
    work(&space);
    let longest = flows.map(|flow| flow.end().expect("the flow goes on"));
    drop(echo);
    assert_reached(&space, &client, &server);
    longest.into_iter().max().expect("two")
}

fn assert_reached(space: &Space, client: &Pod, server: &Pod) {
    space.until("it is reached", || space.connects(client, &format!("{}:8080", server.ip(false))));
}

/// Whether a node's condition `Ready` changed since a moment.
fn ready_since(space: &Space) -> Vec<(String, String)> {
    let list: Value = serde_json::from_str(&space.kubectl("get nodes -o json").expect("nodes")).expect("JSON");
    let nodes = list["items"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    nodes
        .map(|node| {
            let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.iter().find(|one| one["type"] == "Ready").cloned().unwrap_or_default();
            (
                text(&node["metadata"]["name"]),
                format!("{} {}", text(&ready["status"]), text(&ready["lastTransitionTime"])),
            )
        })
        .collect()
}

fn agents(space: &Space) -> Vec<String> {
    let line = "get pods -n kube-system -l app.kubernetes.io/name=ferrule -o name";
    let names = space.cluster.kubectl(&line.split(' ').collect::<Vec<_>>()).expect("the agents");
    names.lines().map(str::to_owned).collect()
}

#[test]
fn the_api_server_may_be_away() {
    let longest = under_traffic("api-away", |space| {
        let control = &space.cluster.control;
        control.kill(Component::ApiServer).expect("it is killed");
        thread::sleep(Duration::from_secs(10));
        for node in nodes() {
            let status = node.ferrule("status").expect("the agent serves");
            assert!(status.contains("cannot be watched"), "{status}");
        }
        control.start(Component::ApiServer).expect("it starts");
        control.await_ready().expect("it is ready");
        space.until("the agents watch again", || {
            let broken: Vec<String> = nodes().iter().map(|node| node.ferrule("status")).collect::<Result<_>>()?;
            if broken.iter().any(|status| status.contains("cannot be watched")) { bail!("{broken:?}") } else { Ok(()) }
        });
    });
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[test]
fn etcd_and_the_controllers_may_be_killed() {
    let longest = under_traffic("etcd-away", |space| {
        let control = &space.cluster.control;
        for component in [Component::Etcd, Component::ControllerManager] {
            control.kill(component).expect("it is killed");
            thread::sleep(Duration::from_secs(2));
            control.start(component).expect("it starts");
        }
        control.await_ready().expect("the API server is ready");
    });
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[test]
fn the_agents_pods_may_be_deleted() {
    let longest = under_traffic("agent-deleted", |space| {
        let ready = ready_since(space);
        for agent in agents(space) {
            let line = format!("delete -n kube-system {agent} --grace-period=0 --force");
            space.cluster.kubectl(&line.split(' ').collect::<Vec<_>>()).expect("it is deleted");
        }
        let line = "rollout status -n kube-system daemonset/ferrule --timeout=90s";
        space.cluster.kubectl(&line.split(' ').collect::<Vec<_>>()).expect("new ones are ready");
        assert_eq!(ready_since(space), ready, "no node became unready");
    });
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[test]
fn the_agents_may_be_rolled() {
    let longest = under_traffic("agent-rolled", |space| {
        let ready = ready_since(space);
        for line in [
            "rollout restart -n kube-system daemonset/ferrule",
            "rollout status -n kube-system daemonset/ferrule --timeout=120s",
        ] {
            space.cluster.kubectl(&line.split(' ').collect::<Vec<_>>()).expect("a roll-out");
        }
        assert_eq!(ready_since(space), ready, "no node became unready");
    });
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[test]
fn kubelet_and_containerd_may_be_restarted() {
    let longest = under_traffic("kubelet", |space| {
        let node = &nodes()[1];
        node.kill_kubelet().expect("it is killed");
        node.restart_containerd().expect("it comes back");
        node.start_kubelet().expect("it starts");
        space.until("the node is ready", || {
            let words = space.kubectl(&format!("get node {} --no-headers", node.name()))?;
            if words.contains("NotReady") { bail!("{words}") } else { Ok(()) }
        });
        space.pod("later", node.name(), &[]);
    });
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}
