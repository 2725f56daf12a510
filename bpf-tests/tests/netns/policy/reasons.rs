//! Why something does not pass: as it happens, when asked, and before a policy is there.

use std::{
    io::{BufRead, BufReader},
    net::UdpSocket,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_kit::{
    topology::{Layout, Node, Pod, binary, patience},
    traffic::{Echo, PORT, Protocol, probe},
};

use super::{
    live::{Five, ONLY_FRIENDS},
    town::within,
    wires::{Wire, any},
};

/// `ferrule monitor` while it runs.
struct Monitor {
    process: Child,
    lines: mpsc::Receiver<Value>,
}

impl Monitor {
    fn start(node: &Node, words: &str) -> Result<Self> {
        let mut command = Command::new(binary("ferrule")?);
        command.arg("--socket").arg(node.socket()).args(["-o", "json", "monitor"]).args(words.split_whitespace());
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(process.stdout.take().context("no output")?);
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // Nobody listens any more: the test is over.
                let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        // Until the agent has told the programs to say more.
        thread::sleep(patience(Duration::from_millis(500)));
        Ok(Self { process, lines })
    }

    /// The next event, for which `cause` is done again and again.
    fn next(&self, cause: impl Fn() -> Result<()>) -> Result<Value> {
        for _ in 0..20 {
            cause()?;
            if let Ok(event) = self.lines.recv_timeout(Duration::from_millis(300)) {
                return Ok(event);
            }
        }
        anyhow::bail!("no event came")
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One datagram to a pod.
fn send(from: &Pod, to: &Pod, v4: bool) -> Result<()> {
    let socket = from.netns.enter(|| UdpSocket::bind((any(v4), 0)))??;
    socket.send_to(b"ferrule", (to.address(v4).context("no address")?, PORT))?;
    Ok(())
}

#[test]
fn a_drop_is_told_with_both_pods_and_the_policy() {
    within(&Layout::default(), |town| {
        let five = Five::new(town)?;
        town.policies(&[ONLY_FRIENDS])?;
        town.settle()?;
        let monitor = Monitor::start(town.node(1), "--pod x/web")?;
        for (client, name) in five.cut.iter().zip(["y/near", "y/far"]) {
            for v4 in [true, false] {
                while monitor.lines.try_recv().is_ok() {}
                let event = monitor.next(|| send(client, &five.web, v4))?;
                let told = [
                    ("verdict", "dropped"),
                    ("reason", "policy-ingress"),
                    ("direction", "ingress"),
                    ("pod", "x/web"),
                    ("protocol", "udp"),
                ];
                for (field, value) in told {
                    ensure!(event[field] == value, "{field} is not {value}: {event}");
                }
                ensure!(event["policies"] == serde_json::json!(["x/only-friends"]), "{event}");
                ensure!(event["source"]["pod"] == name && event["destination"]["pod"] == "x/web", "{event}");
                ensure!(event["destination"]["port"] == PORT, "{event}");
            }
        }
        drop(monitor);
        let monitor = Monitor::start(town.node(1), "--pod x/web --verdict allowed")?;
        let event = monitor.next(|| send(&five.kept[0], &five.web, true))?;
        ensure!(event["verdict"] == "allowed" && event["rule"].to_string().contains("x/only-friends"), "{event}");
        Ok(())
    });
}

/// What `ferrule policy explain` says, where it says so with status 0.
fn explained(node: &Node, from: &str, to: &str, words: &str) -> Result<Value> {
    node.ferrule(&format!("policy explain {from} {to} {words}"))
}

#[test]
fn what_is_explained_is_what_happens() {
    within(&Layout::default(), |town| {
        let five = Five::new(town)?;
        town.policies(&[
            ONLY_FRIENDS,
            ("y/out", "podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]"),
        ])?;
        town.settle()?;
        let named = [
            ("x/web", 1, &five.web),
            ("y/near", 1, &five.cut[0]),
            ("y/far", 2, &five.cut[1]),
            ("z/friend", 1, &five.kept[0]),
            ("z/distant", 2, &five.kept[1]),
        ];
        let _servers =
            named.iter().map(|(_, _, pod)| Echo::start(&pod.netns, &pod.addresses)).collect::<Result<Vec<_>>>()?;
        let mut passed = 0;
        for (from, source_node, source) in &named {
            for (to, target_node, target) in named.iter().filter(|(to, ..)| to != from) {
                let mut passes = true;
                for node in [*source_node, *target_node] {
                    for words in [format!("--protocol udp --port {PORT}"), format!("-6 --protocol udp --port {PORT}")] {
                        let answer = explained(town.node(node), from, to, &words)
                            .with_context(|| format!("{from} to {to} {words} on n{node}"))?;
                        ensure!(answer["agrees"] == true, "{answer}");
                        passes &= answer["allowed"] == true;
                    }
                }
                for v4 in [true, false] {
                    let address = target.address(v4).context("no address")?;
                    let happens = quick(source, address, passes)?;
                    ensure!(happens == passes, "{from} to {to}: explained as {passes}, but it is {happens}");
                }
                passed += u32::from(passes);
            }
        }
        ensure!(passed > 4 && passed < 16, "{passed} of 20 pass");
        Ok(())
    });
}

/// Whether a datagram is answered, soon where it should not be.
fn quick(from: &Pod, to: std::net::IpAddr, expected: bool) -> Result<bool> {
    if expected {
        return Ok(probe(&from.netns, to, Protocol::Udp).is_ok());
    }
    let socket = from.netns.enter(|| UdpSocket::bind((any(to.is_ipv4()), 0)))??;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    socket.send_to(b"ferrule", (to, PORT))?;
    Ok(socket.recv(&mut [0; 16]).is_ok())
}

#[test]
fn a_policy_that_is_only_checked_names_the_flows_that_it_would_cut() {
    within(&Layout::default(), |town| {
        let five = Five::new(town)?;
        let wires =
            five.cut.iter().chain(&five.kept).map(|client| Wire::all(client, &five.web)).collect::<Result<Vec<_>>>()?;
        let file = town.node(1).folder().join("checked.yaml");
        std::fs::write(&file, super::objects::policy(ONLY_FRIENDS.0, ONLY_FRIENDS.1))?;
        // Those nobody isolates have no flows that are kept, so that the policy is in force for somebody else.
        town.policies(&[("x/all", "podSelector: {}, ingress: [{}]")])?;
        town.settle()?;
        wires.iter().flatten().try_for_each(Wire::lives)?;
        town.policies(&[("x/all", "podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 1}]}, {}]")])?;
        town.settle()?;
        wires.iter().flatten().try_for_each(Wire::lives)?;
        // It stands beside the one that allows all, so that nothing would change.
        let answer = town.node(1).ferrule(&format!("policy check {}", file.display()))?;
        ensure!(answer["flows"].as_array().is_some_and(Vec::is_empty), "{answer}");
        // In its place it would cut strangers.
        let text = super::objects::policy("x/all", ONLY_FRIENDS.1);
        std::fs::write(&file, text)?;
        let answer = town.node(1).ferrule(&format!("policy check {}", file.display()))?;
        let flows = answer["flows"].as_array().context("no flows")?;
        for (pods, named) in [(&five.cut, true), (&five.kept, false)] {
            for address in pods.iter().flat_map(|pod| &pod.addresses) {
                let tell = flows.iter().filter(|one| one["flow"]["source"] == address.to_string().as_str()).count();
                // By TCP and by UDP.
                ensure!(tell == if named { 2 } else { 0 }, "{address} is told of {tell} times: {answer}");
            }
        }
        ensure!(
            flows.iter().all(|one| one["allowed"]["before"] == true && one["allowed"]["after"] == false),
            "{answer}"
        );
        // Nothing happened.
        wires.iter().flatten().try_for_each(Wire::lives)
    });
}
