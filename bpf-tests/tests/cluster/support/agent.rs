//! The agents of a cluster: which pods they are, what they say by HTTP, and what can be done to their processes.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use test_kit::{cluster::Node, topology::Netns};

use super::Space;

/// The names of all agents' pods, as `pod/NAME`.
pub fn agents(space: &Space) -> Vec<String> {
    let line = "get pods -n kube-system -l app.kubernetes.io/name=ferrule -o name";
    let names = kubectl(space, line).expect("the agents");
    names.lines().map(str::to_owned).collect()
}

/// `kubectl` with the words of a line, in no namespace of a test's.
pub fn kubectl(space: &Space, line: &str) -> Result<String> {
    space.cluster.kubectl(&line.split_whitespace().collect::<Vec<_>>())
}

/// Waits until all agents are those of the DaemonSet's present version, and ready.
#[track_caller]
pub fn rolled_out(space: &Space) {
    let line = "rollout status -n kube-system daemonset/ferrule --timeout=120s";
    kubectl(space, line).unwrap_or_else(|error| {
        panic!("{error:#}\n{}", kubectl(space, "get pods -n kube-system -o wide").unwrap_or_default())
    });
}

/// Sends a signal to a node's agent.
#[track_caller]
pub fn signal(node: &Node, signal: &str) {
    let line = format!("pkill -{signal} -x ferrule-agent");
    node.machine.run(&line).unwrap_or_else(|error| panic!("{}: {error:#}", node.name()));
}

/// The process number of a node's agent, in the node's own count.
pub fn process(node: &Node) -> Result<String> {
    Ok(node.machine.run("pgrep -o -x ferrule-agent")?.trim().to_owned())
}

/// Waits until a node's agent has read all that the API server has, and watches it.
#[track_caller]
pub fn synced(space: &Space, node: &Node) {
    space.until(&format!("{} has read the API server's objects", node.name()), || {
        let status: Value = serde_json::from_str(&node.ferrule("-o json status")?)?;
        let source = &status["source"];
        let problems = source["problems"].as_array().is_none_or(Vec::is_empty);
        if status["ready"] == true && source["synced"] == true && problems { Ok(()) } else { bail!("{status}") }
    });
}

/// What the agent's probe answers: the status's number, and its words.
pub fn readyz(node: &Node) -> Result<(u16, String)> {
    let netns = Netns::at(node.name(), node.machine.netns()?);
    let answer = netns.enter(|| -> Result<String> {
        let limit = Duration::from_secs(2);
        let at: SocketAddr = "127.0.0.1:9465".parse()?;
        let mut stream = TcpStream::connect_timeout(&at, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })??;
    let number = answer.split(' ').nth(1).context("a status")?.parse()?;
    Ok((number, answer))
}

/// What a node's status says is wrong: with objects, with the kernel, with the API server.
pub fn issues(node: &Node) -> Result<Vec<String>> {
    let status: Value = serde_json::from_str(&node.ferrule("-o json status")?)?;
    let lists = [&status["issues"], &status["errors"], &status["source"]["problems"]];
    let words = lists.into_iter().flat_map(|list| list.as_array().into_iter().flatten());
    Ok(words.filter_map(|word| word.as_str().map(str::to_owned)).collect())
}

/// Waits until a node's status has words that hold all of these in one sentence.
#[track_caller]
pub fn told(space: &Space, node: &Node, parts: &[&str]) {
    space.until(&format!("{} tells of {parts:?}", node.name()), || {
        let all = issues(node)?;
        let found = all.iter().any(|words| parts.iter().all(|part| words.contains(part)));
        if found { Ok(()) } else { bail!("{all:#?}") }
    });
}

/// What a node's agent has logged, its former process's words included.
pub fn log(space: &Space, node: &Node) -> Result<String> {
    let line = format!(
        "get pods -n kube-system -l app.kubernetes.io/name=ferrule --field-selector spec.nodeName={} -o name",
        node.name()
    );
    let name = kubectl(space, &line)?;
    kubectl(space, &format!("logs -n kube-system {} -c agent", name.trim()))
}
