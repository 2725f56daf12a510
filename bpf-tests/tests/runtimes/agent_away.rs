//! The agent is killed, and the runtime goes on.

use std::{thread, time::Duration};

use crate::support::{lab::Lab, probe, sandbox::Sandbox, tool::wait};

#[test]
fn a_sandbox_stops_without_an_agent_which_learns_of_it_later() {
    let mut lab = Lab::start();
    let (leaving, staying) = (lab.n1.run("leaving"), lab.n1.run("staying"));
    lab.n1.kill_agent();
    lab.n1.stop(&leaving);
    lab.n1.remove(&leaving);
    assert_eq!(lab.n1.pod_links().len(), 1, "the pod's link goes with it, agent or not");
    let calls = lab.n1.calls("DEL", &leaving.id);
    let noted =
        |call: &serde_json::Value| call["error"].is_null() && call["notes"].to_string().contains("release note");
    assert!(!calls.is_empty() && calls.iter().all(noted), "{calls:#?}");

    lab.n1.start_agent();
    lab.n1.wait_for_agent();
    wait("the note is applied", Duration::from_secs(5), || {
        let leases = lab.n1.ferrule("ip list").to_string();
        if leases.contains(&leaving.id) { Err(leases) } else { Ok(()) }
    });
    let endpoints = lab.n1.ferrule("endpoint list");
    assert_eq!(endpoints.as_array().map(Vec::len), Some(1), "{endpoints}");
    assert_eq!(endpoints[0]["containerId"], staying.id, "{endpoints}");
    staying.space.seen_by(staying.addresses[0], probe::PORT).unwrap();
}

#[test]
fn a_sandbox_waits_for_an_agent_that_starts() {
    let mut lab = Lab::start();
    lab.n1.kill_agent();
    let (cri, config) = (lab.n1.cri.clone(), lab.n1.config("early", &[]));
    let node = &mut lab.n1;
    let id = thread::scope(|scope| {
        let start = scope.spawn(move || cri.run(config));
        thread::sleep(Duration::from_secs(2));
        assert!(!start.is_finished(), "RunPodSandbox does not wait for the agent");
        node.start_agent();
        start.join().expect("the client does not panic")
    });
    let sandbox = Sandbox::read(&lab.n1, id.expect("RunPodSandbox works once the agent runs"));
    let other = lab.n2.run("other");
    for address in &sandbox.addresses {
        other.space.seen_by(*address, probe::PORT).unwrap();
    }
}

#[test]
fn a_kubelet_that_gives_up_waiting_leaves_nothing_and_may_ask_again() {
    let mut lab = Lab::start();
    lab.n1.kill_agent();
    let given_up = lab.n1.cri.run_within(lab.n1.config("web", &[]), Duration::from_secs(2));
    assert!(given_up.is_err(), "no agent, yet a sandbox: {given_up:?}");
    lab.n1.start_agent();
    lab.n1.wait_for_agent();
    wait("containerd has given up too", Duration::from_secs(10), || {
        let left = lab.n1.cri.list().unwrap();
        if left.is_empty() { Ok(()) } else { Err(left.join(" ")) }
    });
    lab.n1.is_clean();
    let sandbox = lab.n1.run("web");
    lab.n2.machine.space.ping(sandbox.addresses[0]).unwrap();
}

#[test]
fn sandboxes_talk_while_no_agent_runs_and_after_it_is_back() {
    let mut lab = Lab::start();
    let (a, b) = (lab.n1.run("a"), lab.n2.run("b"));
    let talk = |when: &str| {
        for address in &b.addresses {
            let seen = a.space.seen_by(*address, probe::PORT).and_then(|_| a.space.ping(*address));
            seen.unwrap_or_else(|error| panic!("{when}: {error}"));
        }
    };
    lab.n1.kill_agent();
    lab.n2.kill_agent();
    talk("without agents");
    lab.n1.start_agent();
    lab.n2.start_agent();
    lab.n1.wait_for_agent();
    lab.n2.wait_for_agent();
    talk("with new agents");
}
