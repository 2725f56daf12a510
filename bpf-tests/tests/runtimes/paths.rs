//! Who reaches whom: pods of one node and of two, and nodes.

use crate::support::{lab::Lab, probe, sandbox::Sandbox};

/// Asks over TCP and by ping, in both families; the answer must name the asker's own address.
fn reaches(from: &Sandbox, to: &Sandbox) -> Result<(), String> {
    for (own, other) in from.addresses.iter().zip(&to.addresses) {
        let seen = from.space.seen_by(*other, probe::PORT)?;
        if seen != *own {
            return Err(format!("{other} sees {seen} instead of {own}"));
        }
        from.space.ping(*other)?;
    }
    Ok(())
}

#[test]
fn sandboxes_reach_each_other_on_one_node_and_across_nodes() {
    let lab = Lab::start();
    let pods = [("a", &lab.n1), ("b", &lab.n1), ("c", &lab.n2)].map(|(name, node)| (name, node.run(name)));
    let mut failures = Vec::new();
    for (from, source) in &pods {
        for (to, target) in &pods {
            if let Err(error) = reaches(source, target) {
                failures.push(format!("{from} to {to}: {error}"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_node_reaches_every_sandbox() {
    let lab = Lab::start();
    let pods = [lab.n1.run("a"), lab.n2.run("b")];
    let mut failures = Vec::new();
    for node in [&lab.n1, &lab.n2] {
        for pod in pods.iter().flat_map(|pod| &pod.addresses) {
            let space = &node.machine.space;
            let tried = space.seen_by(*pod, probe::PORT).and_then(|_| space.ping(*pod));
            failures.extend(tried.err().map(|error| format!("{}: {error}", node.name)));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
