//! `cargo xtask demo`: two nodes on this machine, pods on both, and who reaches whom.

mod matrix;
mod show;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Parser;
use matrix::{End, Matrix};
use test_kit::{
    topology::{Cluster, Layout, Node, Pod, Prefix},
    traffic::Echo,
};

/// Two nodes on this machine, pods on both, and who reaches whom
#[derive(Parser)]
#[command(name = "demo")]
struct Cli {
    /// Leave everything running and print how to look around
    #[arg(long, conflicts_with = "clean")]
    keep: bool,
    /// Remove what a former `--keep` left
    #[arg(long)]
    clean: bool,
}

/// What the demo's namespaces, folder and pins begin with.
const NAME: &str = "ferrule-demo";

/// Pods' names, by node.
const PODS: [&[&str]; 2] = [&["web", "db"], &["client", "cache"]];

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.clean {
        Prefix::known(NAME).remove_all();
        println!("the demo is removed");
        return ExitCode::SUCCESS;
    }
    match run(cli.keep) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it; whether everyone reached everyone.
fn run(keep: bool) -> Result<bool> {
    let prefix = Prefix::known(NAME);
    // What a former demo left, kept or killed.
    prefix.remove_all();
    let start = Instant::now();
    let mut cluster = Cluster::prepare(prefix, &Layout::default())?;
    cluster.start_agents()?;
    println!("two nodes are ready after {:.1} s", start.elapsed().as_secs_f32());
    let pods = add(&cluster)?;
    show::topology(&cluster, &pods);

    let ends = ends(&cluster, &pods);
    let servers = ends.iter().map(|end| Echo::start(end.netns, &end.addresses)).collect::<Result<Vec<_>>>()?;
    let matrix = Matrix::measure(&ends);
    drop(servers);
    print!("{matrix}");
    if !matrix.is_whole() {
        println!("{}", cluster.describe());
    }
    show::maps(&cluster.nodes[0])?;
    let whole = matrix.is_whole();
    if keep {
        show::looking_around(&cluster, &pods);
        cluster.keep();
        pods.into_iter().for_each(|(_, mut pod)| pod.netns.keep());
    } else {
        remove(&cluster, &pods)?;
        println!("\neverything is removed; `cargo xtask demo --keep` leaves it for looking around");
    }
    Ok(whole)
}

/// Connects the pods through the plugin, and tells the agents of them as the API server would.
fn add(cluster: &Cluster) -> Result<Vec<(usize, Pod)>> {
    let mut pods = Vec::new();
    for (number, (node, names)) in cluster.nodes.iter().zip(PODS).enumerate() {
        for name in names {
            let start = Instant::now();
            let pod = node.add(name)?;
            println!("ADD of pod {name} on {} took {:.0} ms", node.name, start.elapsed().as_secs_f64() * 1000.0);
            cluster.publish(&pod, node)?;
            pods.push((number, pod));
        }
    }
    Ok(pods)
}

/// Disconnects the pods through the plugin; the rest goes with the cluster.
fn remove(cluster: &Cluster, pods: &[(usize, Pod)]) -> Result<()> {
    pods.iter().try_for_each(|(node, pod)| cluster.nodes[*node].del(pod))
}

/// Everyone who takes part: pods and nodes.
fn ends<'a>(cluster: &'a Cluster, pods: &'a [(usize, Pod)]) -> Vec<End<'a>> {
    let pod = |(node, pod): &'a (usize, Pod)| End {
        name: format!("{} ({})", pod.name, cluster.nodes[*node].name),
        netns: &pod.netns,
        addresses: pod.addresses.clone(),
    };
    let node = |node: &'a Node| End {
        name: format!("node {}", node.name),
        netns: &node.netns,
        addresses: node.addresses.clone(),
    };
    pods.iter().map(pod).chain(cluster.nodes.iter().map(node)).collect()
}
