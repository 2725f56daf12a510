//! What the tests share: work side by side, and what a node holds.

use std::{collections::BTreeMap, fs, path::Path, sync::Mutex, thread};

use anyhow::{Context, Result};
use test_kit::topology::{Cluster, Layout, Netns, Node, until};

/// Runs a test in a cluster; a failure shows the cluster's whole state.
pub fn within(layout: &Layout, test: impl FnOnce(&Cluster) -> Result<()>) {
    let cluster = Cluster::start(layout).expect("the cluster starts");
    if let Err(error) = test(&cluster) {
        panic!("{error:#}\n\n{}", cluster.describe());
    }
}

/// One node.
pub fn one() -> Layout {
    Layout { nodes: 1, ..Layout::default() }
}

/// Does the same for every item, so many at a time; the results in the items' order.
pub fn parallel<T: Send, U: Send>(
    items: Vec<T>,
    at_once: usize,
    work: impl Fn(T) -> Result<U> + Sync,
) -> Result<Vec<U>> {
    let count = items.len();
    let queue = Mutex::new(items.into_iter().enumerate());
    let next = || queue.lock().expect("nobody panics with it").next();
    let worker = || {
        let mut done = Vec::new();
        while let Some((at, item)) = next() {
            done.push((at, work(item)?));
        }
        Ok::<_, anyhow::Error>(done)
    };
    let done = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once.min(count)).map(|_| scope.spawn(worker)).collect();
        let results = workers.into_iter().map(|worker| worker.join().expect("no panic"));
        results.collect::<Result<Vec<_>>>()
    })?;
    let mut done: Vec<_> = done.into_iter().flatten().collect();
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Namespaces for pods that come and go.
pub fn namespaces(node: &Node, count: usize) -> Result<Vec<Netns>> {
    let prefix = node.netns.name().split('-').next().unwrap_or_default().to_owned();
    (0..count).map(|number| Netns::new(&format!("{prefix}-p{number}"))).collect()
}

/// What a node holds of pods, by kind; all of it is zero without pods.
pub fn held(node: &Node) -> Result<BTreeMap<&'static str, usize>> {
    let rows = |words: &str| Ok::<_, anyhow::Error>(node.ferrule(words)?.as_array().context("a list")?.len());
    let links = node.netns.links()?;
    let notes = ferrule_api::plugin::release_notes(&node.socket());
    Ok(BTreeMap::from([
        ("leases", rows("endpoint list")?),
        ("addresses", rows("ip list")?),
        ("fr_endpoints", rows("map dump fr_endpoints")?),
        ("fr_links", rows("map dump fr_links")?),
        ("fr_sources", rows("map dump fr_sources")?),
        ("links", links.iter().filter(|link| link.starts_with("fr") && !link.contains('-')).count()),
        ("routes", node.netns.ip("route show proto 102 scope link")?.lines().count()),
        ("neighbours", node.netns.ip("neigh show nud permanent")?.lines().count()),
        ("notes", fs::read_dir(notes).map_or(0, Iterator::count)),
    ]))
}

/// That nothing of any pod is there, once the notes are applied that plugins left which waited too long for an answer.
pub fn is_empty(node: &Node) -> Result<()> {
    let now = || held(node).map_err(|error| format!("{error:#}"));
    let nothing = |held: &BTreeMap<&str, usize>| held.values().all(|count| *count == 0);
    if let Some(notes) = now().ok().and_then(|held| held.get("notes").copied()).filter(|notes| *notes > 0) {
        eprintln!("{notes} DELs had no answer in time and left a note");
    }
    until("nothing of any pod to be left", now, |held| held.as_ref().is_ok_and(nothing)).map(drop)
}

/// What the agent's process and its folders take.
#[derive(Debug, Clone)]
pub struct Footprint {
    /// Memory of its own, in kilobytes.
    pub memory_kb: u64,
    /// Open files.
    pub descriptors: usize,
    /// Pinned objects.
    pub pins: usize,
}

impl Footprint {
    /// As of now.
    pub fn of(node: &Node) -> Result<Self> {
        let process = node.agent_process()?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
            line.with_context(|| format!("/proc/{process}/status has no {key}"))
        };
        let folders = fs::read_dir(node.pins())?.flatten();
        Ok(Self {
            memory_kb: number("RssAnon:")?,
            descriptors: fs::read_dir(Path::new("/proc").join(process.to_string()).join("fd"))?.count(),
            pins: folders.filter_map(|folder| fs::read_dir(folder.path()).ok()).map(Iterator::count).sum(),
        })
    }
}
