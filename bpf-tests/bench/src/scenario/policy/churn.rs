//! Established flows while pods change that neither end's table tells apart.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use aya::maps::{Array, Map, MapData};
use ferrule_common::policy::Word;
use test_kit::{
    topology::{manifest::Manifests, until},
    traffic::load::Load,
};

use crate::{
    lab::Ours,
    row::Row,
    scenario::traffic::once,
    settings::Settings,
    statistics::{Estimate, ratios},
};

/// Pods that change at once, and how long after the ones before: a hundred a second.
const PODS: u8 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// Exchanges on one connection, in quiet and beside the changes.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    let ours = Ours::policed(0)?;
    let path = ours.same_node("ferrule-policy")?;
    // Long enough for several changes.
    let slice = if settings.quick { Duration::from_millis(300) } else { Duration::from_secs(1) };
    let settings = Settings { slice, rounds: settings.rounds.min(20), ..settings.clone() };
    let known = || ours.node().ferrule("status").map_or(None, |status| status["remotePods"].as_u64());
    let others = known().unwrap_or(0);
    let before = words(&ours)?;
    let mut values = [Vec::new(), Vec::new()];
    let mut changes = Changes { round: 0 };
    for round in 0..settings.rounds {
        eprintln!("policy: round {} of {} beside changes", round + 1, settings.rounds);
        for turn in 0..2 {
            let at = (turn + round) % 2;
            let value = match at {
                0 => once(&path, Load::TcpRr, &settings)?,
                _ => changes.beside(ours.manifests(), || once(&path, Load::TcpRr, &settings))?,
            };
            values[at].push(value);
        }
    }
    // The agent has followed them.
    until("changed pods", known, |known| *known == Some(others + u64::from(PODS)))?;
    ensure!(words(&ours)? == before, "a decision was taken again, since an endpoint's word changed");
    let rows = ["quiet", "churn"].into_iter().zip(&values).map(|(subject, own)| {
        let row = Row::rounds("policy", "tcp_rr", subject, Estimate::of(own.iter().copied()), Load::TcpRr.unit());
        row.beside("quiet", ratios(own, &values[0]))
    });
    Ok(rows.collect())
}

/// Both ends' words: with them stand the decisions on their flows.
fn words(ours: &Ours) -> Result<Vec<Word>> {
    let pin = ours.node().maps()?.join("fr_ep_state");
    let words: Array<MapData, Word> = Array::try_from(Map::Array(MapData::from_pin(pin)?))?;
    let words: Vec<Word> = (1..=2).map(|index| words.get(&index, 0)).collect::<Result<_, _>>()?;
    ensure!(
        words.iter().all(|word| word.ingress() != 0 && word.egress() != 0),
        "the two pods are not isolated: {words:?}"
    );
    Ok(words)
}

/// Pods of the other node, which come to have other labels and addresses.
struct Changes {
    round: u8,
}

impl Changes {
    /// Does something while they change.
    fn beside<T>(&mut self, manifests: &Manifests, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let changing = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    self.round = self.round.wrapping_add(1);
                    manifests.write("changing", &pods(self.round))?;
                    thread::sleep(PAUSE);
                }
                Ok(())
            });
            let done = act();
            over.store(true, Ordering::Relaxed);
            let changed: Result<()> = changing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            changed.and(done)
        })
    }
}

fn pods(round: u8) -> String {
    (0..PODS).fold(String::new(), |mut text, pod| {
        let address = IpAddr::from(Ipv4Addr::new(10, 244, 2, 20 + pod + PODS * (round % 20)));
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: changing-{pod}, namespace: elsewhere, labels: {{round: \
             \"{round}\"}}}}\nspec: {{nodeName: n2}}\nstatus: {{phase: Running, podIPs: [{{ip: {address}}}]}}\n"
        );
        text
    })
}
