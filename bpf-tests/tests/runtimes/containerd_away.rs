//! containerd is killed and started again; its shims keep the sandboxes.

use crate::support::{lab::Lab, probe, sandbox::Sandbox};

#[test]
fn sandboxes_keep_their_network_when_containerd_restarts() {
    let mut lab = Lab::start();
    let (a, b) = (lab.n1.run("a"), lab.n2.run("b"));
    lab.n1.kill_containerd();
    for address in &a.addresses {
        b.space.seen_by(*address, probe::PORT).unwrap();
    }
    lab.n1.start_containerd();
    let again = Sandbox::read(&lab.n1, a.id.clone());
    assert_eq!(again.addresses, a.addresses, "containerd remembers the addresses that the plugin gave");
    for address in &a.addresses {
        b.space.seen_by(*address, probe::PORT).unwrap();
    }
    let calls = lab.n1.calls("ADD", &a.id);
    assert_eq!(calls.len(), 1, "a sandbox is added once: {calls:#?}");
    lab.n1.stop(&again);
    lab.n1.remove(&again);
    lab.n1.is_clean();
}
