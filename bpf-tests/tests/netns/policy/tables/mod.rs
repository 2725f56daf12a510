//! Truth tables: three namespaces of three pods each, spread over two nodes. For each set of policies everybody asks
//! everybody, and what passes is what the oracle says; of some lines the table itself says so, too.

mod actions;
mod conflicts;
mod peers;
mod ports;
mod rules;
mod targets;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use ferrule_model::{
    objects::{ObjectName, Objects},
    oracle::{Endpoint, OwnNodeEgress, Sender, World, judge},
};
use ferrule_source::folder::Folder;
use test_kit::topology::{Layout, Pod};

use super::{
    mesh::{Mesh, Outcome, Question},
    objects::parts,
    town::{Town, within},
};

/// A set of policies, and what is worth saying of it.
pub struct Table<'a> {
    /// What it shows.
    pub what: &'a str,
    /// Policies by `namespace/name`, with their specs.
    pub policies: &'a [(&'a str, &'a str)],
    /// What passes, as `x/a > y/b tcp/80`, by both families.
    pub passes: &'a [&'a str],
    /// What does not.
    pub fails: &'a [&'a str],
}

/// The pods, and the node of each. Every pod has named ports, which differ: `web` is 80, 81 and 443, and `sig` is SCTP.
const PODS: [(&str, usize); 9] =
    [("x/a", 1), ("x/b", 2), ("x/c", 1), ("y/a", 2), ("y/b", 1), ("y/c", 2), ("z/a", 1), ("z/b", 2), ("z/c", 1)];

/// Namespaces and their labels.
const NAMESPACES: [(&str, &str); 3] = [("x", "team: red"), ("y", "team: blue"), ("z", "team: blue, zone: outer")];

/// Runs tables, one after the other, in one cluster.
pub fn check(tables: &[Table<'_>]) {
    within(&Layout::default(), |town| {
        town.namespaces(&NAMESPACES)?;
        let names: Vec<String> = PODS.iter().map(|(name, _)| (*name).to_owned()).collect();
        let pods = PODS.iter().map(|(name, node)| inhabitant(town, name, *node)).collect::<Result<Vec<_>>>()?;
        town.settle()?;
        let mut mesh = Mesh::new(&pods)?;
        let free = mesh.questions.iter().copied().collect();
        // Also resolves the neighbours of the underlay, before which a burst is too much.
        compare("no policy", &free, &mesh.ask(&free)?, &names)?;
        for table in tables {
            town.policies(table.policies)?;
            town.settle()?;
            let expected = expected(town, &mesh)?;
            agrees(table, &mesh, &expected, &names)?;
            compare(table.what, &expected, &mesh.ask(&expected)?, &names)?;
            eprintln!("{}: {} of {} pass", table.what, expected.len(), mesh.questions.len());
        }
        Ok(())
    });
}

fn inhabitant(town: &Town<'_>, name: &str, node: usize) -> Result<Pod> {
    let (_, pod) = parts(name);
    town.announce(name, node, &format!("pod: {pod}"))?;
    let web = match pod {
        "a" => "{name: web, containerPort: 80}",
        "b" => "{name: web, containerPort: 81}",
        _ => "{name: web, containerPort: 443}, {name: dns, containerPort: 53, protocol: UDP}",
    };
    town.change(name, |object| {
        object.ports = format!("{web}, {{name: sig, containerPort: 9000, protocol: SCTP}}");
    })?;
    town.connect(name)
}

/// What the oracle lets pass: on both ends' nodes.
fn expected(town: &Town<'_>, mesh: &Mesh<'_>) -> Result<BTreeSet<Question>> {
    let contents = Folder::new(town.cluster.manifests.folder()).scan();
    ensure!(contents.whole && contents.notes.is_empty(), "{:?}", contents.notes);
    let passes = |question: &Question| {
        let packet = question.packet(mesh.pods)?;
        let at = |place: usize, sender| {
            let number = PODS[place].1;
            let endpoints = endpoints(mesh.pods, number);
            let world = world(&contents.objects, town, number, &endpoints);
            judge(&world, &packet, sender).passes()
        };
        let far = PODS[question.from].1 != PODS[question.to].1;
        Some(at(question.from, Sender::LocalPod) && (!far || at(question.to, Sender::Forwarded)))
    };
    Ok(mesh.questions.iter().copied().filter(|question| passes(question) == Some(true)).collect())
}

fn endpoints(pods: &[Pod], node: usize) -> Vec<Endpoint> {
    let own = PODS.iter().zip(pods).zip(1..).filter(|(((_, on), _), _)| *on == node);
    own.map(|(((name, _), pod), index)| {
        let (namespace, name) = parts(name);
        let addresses = pod.addresses.clone();
        Endpoint { index, addresses, pod: Some(ObjectName::new(namespace, name)), uid: String::new() }
    })
    .collect()
}

fn world<'a>(objects: &'a Objects, town: &'a Town<'_>, number: usize, endpoints: &'a [Endpoint]) -> World<'a> {
    let node = town.node(number);
    World {
        objects,
        node_name: &node.name,
        endpoints,
        own_addresses: &node.addresses,
        own_node_egress: OwnNodeEgress::Allow,
    }
}

/// That the oracle says what the table says.
fn agrees(table: &Table<'_>, mesh: &Mesh<'_>, expected: &BTreeSet<Question>, names: &[String]) -> Result<()> {
    let lines = table.passes.iter().map(|line| (line, true)).chain(table.fails.iter().map(|line| (line, false)));
    for (line, passes) in lines {
        let meant: Vec<_> = mesh.questions.iter().filter(|question| question.words(names) == **line).collect();
        ensure!(meant.len() == 2, "{}: {line:?} is no question", table.what);
        for question in meant {
            let says = expected.contains(question);
            ensure!(says == passes, "{}: the oracle says {says} of {line:?} ({question:?})", table.what);
        }
    }
    Ok(())
}

/// That what passed is what should.
fn compare(what: &str, expected: &BTreeSet<Question>, outcome: &Outcome, names: &[String]) -> Result<()> {
    let line = |question: &Question| format!("{} IPv{}", question.words(names), if question.v4 { 4 } else { 6 });
    let list = |questions: Vec<&Question>| questions.into_iter().map(line).collect::<Vec<_>>().join("\n  ");
    let lost: Vec<_> = expected.difference(&outcome.answered).collect();
    let passed: Vec<_> = outcome.answered.union(&outcome.heard).filter(|one| !expected.contains(one)).collect();
    ensure!(
        lost.is_empty() && passed.is_empty(),
        "{what}: not answered:\n  {}\nbut passed:\n  {}",
        list(lost),
        list(passed)
    );
    Ok(())
}

/// All pods of the first node.
pub const NODE_1: &str = "{ipBlock: {cidr: 10.244.1.0/24}}, {ipBlock: {cidr: \"fd00:244:1::/64\"}}";
