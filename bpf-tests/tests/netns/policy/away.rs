//! While the agent is away, while it starts, and while another version takes over, what was in force stays in force.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use test_kit::topology::{Layout, Node, patience, until};

use super::{
    door::{Door, Knocking},
    live::{Five, ONLY_FRIENDS},
    town::{Town, within},
    wires::{Way, Wire},
};

/// Connections on which only the answerer sends, all the time.
struct Streams {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Duration>>>,
}

impl Streams {
    fn start(wires: Vec<Wire>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut heard: Vec<_> = wires.iter().map(|_| (Instant::now(), Duration::ZERO)).collect();
            while !end.load(Ordering::Relaxed) {
                for (wire, (last, longest)) in wires.iter().zip(&mut heard) {
                    wire.send(Way::Back)?;
                    *longest = (*longest).max(last.elapsed());
                    if wire.arrived(Way::Back)? > 0 {
                        *last = Instant::now();
                    }
                }
                thread::sleep(Duration::from_millis(2));
            }
            Ok(heard.into_iter().map(|(_, longest)| longest).collect())
        });
        Self { stop, thread }
    }

    /// Ends them; the longest silence of any.
    fn end(self) -> Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let all = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(all.into_iter().max().unwrap_or_default())
    }
}

/// Lets something happen to both nodes' agents, while friends and strangers knock, what friends opened streams, and what
/// strangers had opened before there was a policy stays cut.
fn goes_on_through(what: impl Fn(&Town<'_>, &Node) -> Result<()>) {
    within(&Layout::default(), |town| {
        let five = Five::new(town)?;
        let door = Door::open(&five.web.netns)?;
        let open = |clients: [&test_kit::topology::Pod; 2]| {
            clients
                .iter()
                .map(|client| Wire::all(client, &five.web))
                .collect::<Result<Vec<_>>>()
                .map(|all| all.into_iter().flatten().collect::<Vec<_>>())
        };
        let cut = open([&five.cut[0], &five.cut[1]])?;
        let kept = open([&five.kept[0], &five.kept[1]])?;
        town.policies(&[ONLY_FRIENDS])?;
        town.settle()?;
        // A flow by UDP that says nothing for half a minute is forgotten; one that was cut is remembered for longer.
        Wire::are_cut(&cut)?;
        let streams = Streams::start(open([&five.kept[0], &five.kept[1]])?);
        let friends = five.kept.each_ref().map(|pod| Knocking::start(&pod.netns, &five.web.addresses, true));
        let strangers = five.cut.each_ref().map(|pod| Knocking::start(&pod.netns, &five.web.addresses, false));
        thread::sleep(Duration::from_millis(200));
        town.cluster.nodes.iter().try_for_each(|node| what(town, node))?;
        // What a former agent left is removed after a grace.
        thread::sleep(patience(Duration::from_millis(3500)));
        Wire::are_cut(&cut)?;
        kept.iter().try_for_each(Wire::lives)?;
        for stranger in strangers {
            eprintln!("strangers: {:?}", stranger.was_never_let_in()?);
        }
        let strangers = five.cut.iter().map(|pod| door.guests_of(pod)).sum::<u64>();
        ensure!(strangers == 0, "{strangers} packets of strangers arrived");
        for friend in friends {
            eprintln!("friends: {:?}", friend.was_always_let_in()?);
        }
        let silence = streams.end()?;
        eprintln!("the longest silence of a stream: {silence:?}");
        ensure!(silence < patience(Duration::from_secs(2)), "a stream was silent for {silence:?}");
        // The agents still serve: what comes now is put in force.
        town.policies(&[])?;
        town.settle()?;
        cut.iter().try_for_each(Wire::lives)
    });
}

#[test]
fn killed_and_started() {
    goes_on_through(|_, node| {
        node.kill()?;
        thread::sleep(Duration::from_millis(300));
        node.start()
    });
}

#[test]
fn stopped_and_started() {
    goes_on_through(|_, node| {
        node.stop()?;
        node.start()
    });
}

#[test]
fn started_again_and_again_before_it_is_ready() {
    goes_on_through(|_, node| {
        node.kill()?;
        for step in 0..6 {
            node.spawn_binary("ferrule-agent")?;
            thread::sleep(Duration::from_millis(80 + 60 * step));
            node.kill()?;
        }
        node.start()
    });
}

#[test]
fn another_version_takes_over_and_gives_back() {
    goes_on_through(|_, node| {
        for binary in ["ferrule-agent-other", "ferrule-agent"] {
            node.stop()?;
            node.start_binary(binary, &[]).context(binary)?;
            // Its predecessor's tables go after a grace.
            thread::sleep(patience(Duration::from_millis(2500)));
        }
        Ok(())
    });
}

#[test]
fn an_agent_that_starts_beside_a_broken_manifest_keeps_what_was_in_force() {
    goes_on_through(|town, node| {
        node.stop()?;
        let folder = town.cluster.manifests.folder();
        let good = std::fs::read_to_string(folder.join("policies.yaml"))?;
        town.cluster.manifests.write("policies", "kind: [")?;
        node.spawn_binary("ferrule-agent")?;
        let says = || node.ferrule("status").unwrap_or_default().to_string();
        until("the agent to tell of the manifest", says, |text| text.contains("policies.yaml"))?;
        thread::sleep(patience(Duration::from_millis(2500)));
        town.cluster.manifests.write("policies", &good)?;
        until("the agent to be content", says, |text| !text.contains("policies.yaml")).map(drop)
    });
}
