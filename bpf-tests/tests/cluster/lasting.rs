//! What connections outlast: components that are killed and come back, under traffic.

use std::{thread, time::Duration};

use anyhow::bail;
use test_kit::cluster::Component;

use crate::support::{
    Space, Witness,
    agent::{agents, kubectl, rolled_out},
    nodes,
};

#[test]
fn etcd_and_the_controllers_may_be_killed() {
    let space = Space::new("etcd-away");
    let witness = Witness::start(&space);
    let control = &space.cluster.control;
    for component in [Component::Etcd, Component::ControllerManager] {
        control.kill(component).expect("it is killed");
        thread::sleep(Duration::from_secs(2));
        control.start(component).expect("it starts");
    }
    control.await_ready().expect("the API server is ready");
    witness.saw_nothing(&space);
}

#[test]
fn the_agents_pods_may_be_deleted() {
    let space = Space::new("agent-deleted");
    let witness = Witness::start(&space);
    for agent in agents(&space) {
        kubectl(&space, &format!("delete -n kube-system {agent}")).expect("it is deleted");
    }
    rolled_out(&space);
    witness.saw_nothing(&space);
}

#[test]
fn kubelet_and_containerd_may_be_restarted() {
    let space = Space::new("kubelet");
    let witness = Witness::start(&space);
    let node = &nodes()[1];
    node.kill_kubelet().expect("it is killed");
    node.restart_containerd().expect("it comes back");
    node.start_kubelet().expect("it starts");
    space.until("the node is ready", || {
        let words = space.kubectl(&format!("get node {} --no-headers", node.name()))?;
        if words.contains("NotReady") { bail!("{words}") } else { Ok(()) }
    });
    space.pod("later", node.name(), &[]);
    witness.went_on(&space);
}
