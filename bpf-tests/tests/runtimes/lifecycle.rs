//! Sandboxes come and go: many at once, twice, and leave nothing.

use std::{collections::BTreeSet, thread};

use crate::support::{lab::Lab, probe, sandbox::Sandbox};

#[test]
fn ten_sandboxes_start_and_stop_at_once() {
    let lab = Lab::start();
    let node = &lab.n1;
    let sandboxes: Vec<Sandbox> = thread::scope(|scope| {
        let starts: Vec<_> = (0..10).map(|at| scope.spawn(move || node.run(&format!("pod{at}")))).collect();
        starts.into_iter().map(|start| start.join().expect("RunPodSandbox works")).collect()
    });
    let addresses: BTreeSet<_> = sandboxes.iter().flat_map(|sandbox| &sandbox.addresses).collect();
    assert_eq!(addresses.len(), 20, "an address twice: {addresses:?}");
    let client = lab.n2.run("client");
    for (sandbox, address) in sandboxes.iter().flat_map(|one| one.addresses.iter().map(move |address| (one, address))) {
        let seen = client.space.seen_by(*address, probe::PORT);
        assert!(seen.as_ref().is_ok_and(|seen| client.addresses.contains(seen)), "{}: {seen:?}", sandbox.id);
    }
    thread::scope(|scope| {
        for sandbox in &sandboxes {
            scope.spawn(|| {
                node.stop(sandbox);
                node.remove(sandbox);
            });
        }
    });
    node.is_clean();
}

#[test]
fn a_sandbox_can_be_stopped_twice() {
    let lab = Lab::start();
    let sandbox = lab.n1.run("web");
    lab.n1.stop(&sandbox);
    lab.n1.stop(&sandbox);
    let calls = lab.n1.calls("DEL", &sandbox.id);
    assert!(calls.len() >= 2, "containerd asked for one DEL only: {calls:?}");
    assert!(calls.iter().all(|call| call["error"].is_null()), "{calls:#?}");
    lab.n1.remove(&sandbox);
    lab.n1.is_clean();
}

#[test]
fn a_removed_sandbox_leaves_its_addresses_to_rest_and_nothing_else() {
    let lab = Lab::start();
    let sandbox = lab.n1.run("web");
    assert_eq!(lab.n1.ferrule("ip list").as_array().map(Vec::len), Some(2));
    lab.n1.stop(&sandbox);
    lab.n1.remove(&sandbox);
    assert_eq!(lab.n1.cri.list().unwrap(), Vec::<String>::new());
    lab.n1.is_clean();
    let status = lab.n1.ferrule("status");
    assert_eq!((&status["leased"], &status["resting"]), (&0.into(), &2.into()), "{status}");
    let next = lab.n1.run("web");
    assert!(next.addresses.iter().all(|ip| !sandbox.addresses.contains(ip)), "{:?} did not rest", next.addresses);
}
