//! Policy maps that are full or nearly: nobody is open, nobody else is closed, and an agent that starts finds room.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, HashMap, Map, MapData};
use ferrule_common::policy::{ANY_POD, BY_POD, Rule, RuleKey, Table, Word};
use test_kit::topology::{Layout, Node, Pod, patience, until};

use super::{
    door::{Door, Knocking},
    town::{Town, within},
};

/// A table that no agent's compiler gives a number to in these tests.
const STRANGE: u32 = 12_345;
/// An endpoint's index whose lease was lost.
const LOST: u32 = 4_000;
/// All of `fr_policy`.
const ROOM: u32 = ferrule_common::layout::POLICY;
const VALUES: &str = include_str!("../../../../deploy/helm/ferrule/values.yaml");
/// How soon an agent is ready that has to make room first.
const READY: Duration = Duration::from_secs(20);

/// Of one pod: so many CIDRs times so many ports.
fn product(pods: &str, cidrs: u32, ports: u32) -> String {
    let cidrs: Vec<String> =
        (0..cidrs).map(|n| format!("{{ipBlock: {{cidr: 172.20.{}.{}/32}}}}", n / 256, n % 256)).collect();
    let ports: Vec<String> = (0..ports).map(|n| format!("{{port: {}}}", 2 * n + 101)).collect();
    format!(
        "podSelector: {{matchLabels: {{{pods}}}}}, ingress: [{{from: [{}], ports: [{}]}}]",
        cidrs.join(", "),
        ports.join(", ")
    )
}

fn pin(node: &Node, map: &str) -> Result<PathBuf> {
    Ok(node.maps()?.join(map))
}

fn rules(node: &Node) -> Result<HashMap<MapData, RuleKey, Rule>> {
    Ok(HashMap::try_from(Map::HashMap(MapData::from_pin(pin(node, "fr_policy")?)?))?)
}

/// Writes what lets every pod in, under a table of no policy: as an agent leaves it that dies between two steps.
fn fill(node: &Node, table: u32, count: u32) -> Result<()> {
    let mut rules = rules(node)?;
    for n in 0..count {
        let (class, port) = (ANY_POD + (n >> 16), u16::try_from(n & 0xffff)?);
        rules.insert(RuleKey { table, class, port, port_bits: 16, protocol: 6 }, Rule { rule: 1, pad: 0 }, 0)?;
    }
    Ok(())
}

fn written(node: &Node, table: u32) -> Result<()> {
    let mut tables: Array<_, Table> = Array::try_from(Map::Array(MapData::from_pin(pin(node, "fr_tables")?)?))?;
    Ok(tables.set(table, Table { uses: BY_POD | 1 << 16, generation: 77 }, 0)?)
}

fn words(node: &Node) -> Result<Array<MapData, Word>> {
    Ok(Array::try_from(Map::Array(MapData::from_pin(pin(node, "fr_ep_state")?)?))?)
}

/// What `/metrics` says of a map.
fn told(node: &Node, map: &str) -> Result<usize> {
    let mut stream = UnixStream::connect(node.socket())?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let begin = format!("ferrule_map_entries{{map=\"{map}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&begin)).with_context(|| format!("{map}: {text}"))?;
    Ok(value.trim().parse()?)
}

fn counted(node: &Node) -> Result<usize> {
    rules(node)?.keys().try_fold(0, |count, key| key.map(|_| count + 1)).context("fr_policy")
}

/// A pod that nobody may reach, one that tries, and large policies of two namespaces.
struct Fortress {
    locked: Pod,
    stranger: Pod,
    /// The keys of all policies.
    keys: usize,
    _served: Vec<Pod>,
    _door: Door,
}

impl Fortress {
    fn new(town: &Town<'_>) -> Result<Self> {
        town.namespaces(&[("x", "team: red"), ("y", "team: blue"), ("z", "team: green")])?;
        let (locked, stranger) = (town.pod("x/locked", 1, "app: locked")?, town.pod("x/stranger", 1, "app: free")?);
        let served =
            ["y/one", "y/two", "z/one", "z/two"].map(|name| town.pod(name, 1, &format!("app: {}", &name[2..])));
        let served = served.into_iter().collect::<Result<_>>()?;
        // Four times 30,000 keys, and one that lets some others in.
        let (one, two) = (product("app: one", 1000, 30), product("app: two", 1000, 30));
        let friends = "podSelector: {matchLabels: {app: locked}}, ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}]}]";
        town.policies(&[("x/friends", friends), ("y/one", &one), ("y/two", &two), ("z/one", &one), ("z/two", &two)])?;
        let node = town.node(1);
        let full =
            until("the policies in force", || counted(node).ok(), |keys| keys.is_some_and(|keys| keys >= 120_000));
        let keys = full?.context("fr_policy")?;
        town.settle()?;
        ensure!(told(node, "fr_policy")? == keys, "{} told of {keys}", told(node, "fr_policy")?);
        Ok(Self { _door: Door::open(&locked.netns)?, locked, stranger, keys, _served: served })
    }

    fn knocking(&self) -> Knocking {
        Knocking::start(&self.stranger.netns, &self.locked.addresses, false)
    }
}

fn one_node() -> Layout {
    Layout { nodes: 1, ..Layout::default() }
}

/// Starts the agent, waits until it is ready, and that the maps hold nothing but what it wrote.
fn starts_again(town: &Town<'_>, keys: usize) -> Result<()> {
    let node = town.node(1);
    let begun = Instant::now();
    node.start_within(patience(READY))?;
    eprintln!("ready after {:?}", begun.elapsed());
    town.settle()?;
    let clean = || Some((counted(node).ok()?, told(node, "fr_policy").ok()?));
    until("the former tables to go", clean, |found| *found == Some((keys, keys))).map(drop)
}

#[test]
fn an_agent_that_starts_with_more_than_half_of_the_map_in_use_removes_garbage_first() {
    within(&one_node(), |town| {
        let fortress = Fortress::new(town)?;
        let node = town.node(1);
        let knocking = fortress.knocking();
        node.kill()?;
        // Some were written, and of some only keys are left.
        let free = ROOM - u32::try_from(fortress.keys)?;
        fill(node, STRANGE, free / 2)?;
        written(node, STRANGE)?;
        fill(node, STRANGE + 1, free - free / 2)?;
        starts_again(town, fortress.keys)?;
        knocking.was_never_let_in()?;
        Ok(())
    });
}

#[test]
fn keys_that_are_left_of_a_table_open_nothing_when_its_number_is_given_again() {
    within(&one_node(), |town| {
        let fortress = Fortress::new(town)?;
        let node = town.node(1);
        node.kill()?;
        for table in 1..64 {
            fill(node, table, 256)?;
        }
        let knocking = fortress.knocking();
        starts_again(town, fortress.keys)?;
        knocking.was_never_let_in()?;
        Ok(())
    });
}

#[test]
fn what_a_lost_endpoint_holds_is_closed_rather_than_that_an_agent_never_gets_ready() {
    within(&one_node(), |town| {
        let fortress = Fortress::new(town)?;
        let node = town.node(1);
        let knocking = fortress.knocking();
        node.kill()?;
        written(node, STRANGE)?;
        fill(node, STRANGE, ROOM - u32::try_from(fortress.keys)?)?;
        words(node)?.set(LOST, Word::new(STRANGE, 0, 1), 0)?;
        starts_again(town, fortress.keys)?;
        let word = words(node)?.get(&LOST, 0)?;
        ensure!(word.ingress() == ferrule_model::policy::CLOSED && word.egress() == 0, "{word:?}");
        knocking.was_never_let_in()?;
        Ok(())
    });
}

#[test]
fn an_agent_that_is_killed_at_any_moment_of_its_start_is_followed_by_one_that_gets_ready() {
    within(&one_node(), |town| {
        let fortress = Fortress::new(town)?;
        let node = town.node(1);
        let knocking = fortress.knocking();
        node.kill()?;
        for round in 0..12_u64 {
            node.spawn_binary("ferrule-agent")?;
            thread::sleep(Duration::from_millis(250 + 110 * round));
            node.kill()?;
        }
        starts_again(town, fortress.keys)?;
        knocking.was_never_let_in()?;
        Ok(())
    });
}

#[test]
fn a_tenants_policies_never_open_or_close_anothers_pods() {
    within(&one_node(), |town| {
        town.namespaces(&[("x", "team: red"), ("y", "team: blue")])?;
        let (locked, stranger) = (town.pod("x/locked", 1, "app: locked")?, town.pod("x/stranger", 1, "app: free")?);
        let served: Vec<Result<Pod>> = (0..4).map(|n| town.pod(&format!("y/p{n}"), 1, &format!("app: p{n}"))).collect();
        let _served = served.into_iter().collect::<Result<Vec<_>>>()?;
        let _door = Door::open(&locked.netns)?;
        // As much as fits into manifests: each pod of it asks for 30,000 keys, two of them for more than anybody may have.
        let mut specs: Vec<(String, String)> =
            (0..4).map(|n| (format!("y/p{n}"), product(&format!("app: p{n}"), 1000, 30))).collect();
        specs.push(("y/hostile".into(), product("app: p0", 12_000, 12_000)));
        let mut all: Vec<(&str, &str)> = specs.iter().map(|(name, spec)| (&**name, &**spec)).collect();
        town.policies(&all)?;
        town.settle()?;
        let allowed = Knocking::start(&stranger.netns, &locked.addresses, true);
        thread::sleep(patience(Duration::from_millis(300)));
        allowed.was_always_let_in()?;
        // Another's first policy is in force at once.
        all.push(("x/locked", "podSelector: {matchLabels: {app: locked}}"));
        town.policies(&all)?;
        town.settle()?;
        let knocking = Knocking::start(&stranger.netns, &locked.addresses, false);
        thread::sleep(patience(Duration::from_millis(300)));
        knocking.was_never_let_in()?;
        let status = town.node(1).ferrule("status")?.to_string();
        ensure!(status.contains("NetworkPolicy y/hostile: spec.ingress: asks for 144000000 pairs"), "{status}");
        ensure!(status.contains("the policies of its namespace, NetworkPolicy y/p"), "{status}");
        // The agent lives on little.
        let process = town.node(1).agent_process()?;
        let memory = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let most =
            memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
        eprintln!("{most:?} kB at most");
        // A quarter of the chart's limit, which is for the maps, too.
        ensure!(VALUES.contains("limits:\n    memory: 1Gi\n"), "the chart has another limit: change this test");
        ensure!(most.is_some_and(|kb| kb < 256 * 1024), "{most:?} kB at most");
        Ok(())
    });
}
