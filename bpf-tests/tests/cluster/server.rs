//! Bad input that the API server itself is: it lacks a kind, as one of another version does, or it cannot read what its store
//! holds. Agents name it, in what was in force nothing changes, and they go on by themselves when it is mended.

use anyhow::{Result, ensure};
use serde_json::json;
use test_kit::{
    cluster::{Component, Node},
    traffic::{Echo, PORT, Protocol, probe},
};

use crate::support::{
    Pod, Space,
    agent::{log, process, readyz, signal, synced, told},
    nodes,
};

/// The API server with other flags, or just started anew; it is the usual one again when this is dropped.
struct Other<'a>(&'a Space);

impl<'a> Other<'a> {
    /// One that need not be ready: without a kind, it never says so of itself.
    #[track_caller]
    fn start(space: &'a Space, flags: &[String]) -> Self {
        let (control, other) = (&space.cluster.control, Self(space));
        control.kill(Component::ApiServer).expect("it is killed");
        control.start_with(Component::ApiServer, flags).expect("it starts");
        control.await_alive().expect("it answers");
        other
    }
}

impl Drop for Other<'_> {
    fn drop(&mut self) {
        let control = &self.0.cluster.control;
        let again = control
            .kill(Component::ApiServer)
            .and_then(|()| control.start(Component::ApiServer))
            .and_then(|()| control.await_ready())
            // It would look at the API server again after pauses that have grown meanwhile.
            .and_then(|()| control.kill(Component::ControllerManager))
            .and_then(|()| control.start(Component::ControllerManager));
        if let Err(error) = again {
            eprintln!("the API server is not as it was: {error:#}");
        }
    }
}

/// A value in etcd that no API server can read; gone when this is dropped.
struct Garbage<'a> {
    space: &'a Space,
    key: String,
}

impl<'a> Garbage<'a> {
    #[track_caller]
    fn put(space: &'a Space, resource: &str) -> Self {
        let garbage = Self { space, key: format!("{resource}/{}/broken", space.name) };
        space.cluster.control.write_unchecked(&garbage.key, "garbage").expect("etcd takes it");
        garbage
    }
}

impl Drop for Garbage<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.space.cluster.control.remove_unchecked(&self.key) {
            eprintln!("{} is still in etcd: {error:#}", self.key);
        }
    }
}

/// What is in force on both nodes: a pod that nobody may reach, and one that everybody reaches, through its Service, too.
struct Scene<'a> {
    space: &'a Space,
    vault: Pod,
    web: Pod,
    near: Pod,
    far: Pod,
    /// The Service's address and port.
    service: String,
    _servers: [Echo; 2],
}

impl<'a> Scene<'a> {
    #[track_caller]
    fn set(space: &'a Space) -> Self {
        let nodes = nodes();
        let vault = space.pod("vault", nodes[0].name(), &[("app", "vault")]);
        let web = space.pod("web", nodes[1].name(), &[("app", "web")]);
        let (near, far) = (space.pod("near", nodes[0].name(), &[]), space.pod("far", nodes[1].name(), &[]));
        let servers = [&vault, &web].map(|pod| Echo::start(&pod.netns, &pod.ips).expect("an echo server"));
        space.apply(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }));
        space.apply(deny("vault"));
        let address = space.get("service", "web").expect("a Service")["spec"]["clusterIP"].clone();
        let service = format!("{}:80", address.as_str().expect("it has an address"));
        let scene = Self { space, vault, web, near, far, service, _servers: servers };
        space.until("it is in force", || scene.holds());
        scene
    }

    fn holds(&self) -> Result<()> {
        for v6 in [false, true] {
            probe(&self.near.netns, self.web.ip(v6), Protocol::Tcp)?;
            for from in [&self.near, &self.far] {
                let reached = probe(&from.netns, self.vault.ip(v6), Protocol::Tcp).is_ok();
                ensure!(!reached, "{} reaches the vault at port {PORT}", from.name);
            }
        }
        self.space.connects(&self.near, &self.service)
    }

    /// A pod that is started now has a network, and reaches only what it may.
    #[track_caller]
    fn takes_in(&self, name: &str, node: &Node) {
        let pod = self.space.pod(name, node.name(), &[("app", name)]);
        for v6 in [false, true] {
            probe(&pod.netns, self.web.ip(v6), Protocol::Tcp).expect("a new pod has a network");
            assert!(probe(&pod.netns, self.vault.ip(v6), Protocol::Tcp).is_err(), "{name} reaches the vault");
        }
    }
}

/// Nobody reaches pods with this label.
fn deny(app: &str) -> serde_json::Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": app},
        "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"]},
    })
}

/// Waits until a running agent tells of it where people look, and is ready for all else.
#[track_caller]
fn goes_on(space: &Space, node: &Node, parts: &[&str]) {
    told(space, node, parts);
    let (number, words) = readyz(node).expect("it answers");
    assert!(number == 200 && parts.iter().all(|part| words.contains(part)), "{number}: {words}");
    space.until("its log tells, too", || {
        let log = log(space, node)?;
        ensure!(log.lines().any(|line| parts[1..].iter().all(|part| line.contains(part))), "{log}");
        Ok(())
    });
}

/// Kills a node's agent, and waits until the next one tells of it and is not synced.
#[track_caller]
fn starts_unsynced(space: &Space, node: &Node, parts: &[&str]) {
    let before = process(node).expect("its agent runs");
    signal(node, "KILL");
    space.until("another agent serves, and is not synced", || {
        ensure!(process(node)? != before, "still {before}");
        let (number, words) = readyz(node)?;
        ensure!(number == 503 && words.contains("have not been read yet"), "{number}: {words}");
        ensure!(parts.iter().all(|part| words.contains(part)), "{words}");
        ensure!(node.ferrule("status")?.contains("not read yet"), "its status does not tell");
        Ok(())
    });
    told(space, node, parts);
}

#[test]
fn without_endpoint_slices_as_before_1_21_the_api_server_is_named_and_what_was_in_force_stays() {
    let space = Space::new("other-version");
    let nodes = nodes();
    let scene = Scene::set(&space);
    let other = Other::start(&space, &["--runtime-config=discovery.k8s.io/v1=false".into()]);
    let served = "the API server serves no endpointslices of discovery.k8s.io/v1 (404)";
    let parts = ["endpointslices cannot be watched", served, "from 1.21 on", "--runtime-config"];
    nodes.iter().take(2).for_each(|node| goes_on(&space, node, &parts));
    scene.holds().expect("what was in force stays");
    scene.takes_in("meanwhile", &nodes[1]);
    starts_unsynced(&space, &nodes[0], &parts);
    scene.holds().expect("what was in force stays");

    drop(other);
    nodes.iter().take(2).for_each(|node| synced(&space, node));
    scene.holds().expect("what was in force stays");
    scene.takes_in("later", &nodes[0]);
}

#[test]
fn what_the_api_server_cannot_read_in_its_own_store_is_told_and_what_was_in_force_stays() {
    let space = Space::new("garbage");
    let nodes = nodes();
    let scene = Scene::set(&space);
    let garbage = Garbage::put(&space, "networkpolicies");
    // Its cache hides such a value from lists until it starts.
    let other = Other::start(&space, &[]);
    let parts = ["networkpolicies cannot be watched", "the API server answered", "data at input byte"];
    nodes.iter().take(2).for_each(|node| goes_on(&space, node, &parts));
    scene.holds().expect("what was in force stays");
    scene.takes_in("meanwhile", &nodes[1]);
    starts_unsynced(&space, &nodes[0], &parts);
    scene.holds().expect("what was in force stays");

    drop(garbage);
    nodes.iter().take(2).for_each(|node| synced(&space, node));
    scene.holds().expect("what was in force stays");
    scene.takes_in("later", &nodes[0]);
    // Policies are followed again.
    space.apply(deny("web"));
    space.until("a new policy is in force", || {
        ensure!(probe(&scene.near.netns, scene.web.ip(false), Protocol::Tcp).is_err(), "it is reached");
        Ok(())
    });
    drop(other);
}
