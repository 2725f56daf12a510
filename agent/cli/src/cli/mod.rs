//! `ferrule`: asks the agent of this node and prints what it says, as a table or as JSON.

mod answer;
mod connectivity;
mod monitor;
mod policy;
mod service;
mod table;

use std::{io, path::PathBuf, process::ExitCode};

use answer::{LIMIT, PATIENCE, print, read};
use clap::{
    CommandFactory, Parser, Subcommand, ValueEnum,
    builder::{EnumValueParser, PossibleValue, TypedValueParser},
};
use ferrule_agent::say;
use ferrule_api::{
    chain::sentence,
    client::Agent,
    view,
    view::{Endpoint, Finding, Flushed, Ip, Node, Pod, Sample, Severity, Status},
};
use serde_json::Value;

use crate::sysdump;

/// Look into Ferrule on this node
#[derive(Parser)]
#[command(name = "ferrule", version)]
struct Cli {
    /// The agent's socket
    #[arg(long, global = true, default_value = "/run/ferrule/agent.sock", value_name = "PATH", env = "FERRULE_SOCKET")]
    socket: PathBuf,
    /// How to print
    #[arg(short, long, global = true, default_value = "table", value_parser = Formats)]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

/// The values of `--output`. Other tools name a file by `-o`; who does so here is told how.
#[derive(Clone)]
struct Formats;

impl TypedValueParser for Formats {
    type Value = Output;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Output, clap::Error> {
        let parsed = EnumValueParser::<Output>::new().parse_ref(command, arg, value);
        if parsed.is_ok() || command.get_name() != "sysdump" {
            return parsed;
        }
        let words = format!(
            "--output is a format (table, json), and {} is none; name the file by --file",
            value.to_string_lossy()
        );
        Err(command.clone().error(clap::error::ErrorKind::InvalidValue, words))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Output::value_variants().iter().filter_map(ValueEnum::to_possible_value)))
    }
}

#[derive(Subcommand)]
enum Command {
    /// The node in a few lines: readiness, addresses, what is wrong
    Status,
    /// Whether the agent is alive: the kubelet's liveness probe in a container
    Alive,
    /// Pods of this node
    #[command(subcommand)]
    Endpoint(EndpointCommand),
    /// Other nodes
    #[command(subcommand)]
    Node(List),
    /// Addresses of this node's pods
    #[command(subcommand)]
    Ip(List),
    /// The datapath's maps
    #[command(subcommand)]
    Map(MapCommand),
    /// Network policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Services, and which backends this node leads to
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Flows of this node's pods
    #[command(subcommand)]
    Conntrack(ConntrackCommand),
    /// Packets that are dropped, as it happens, with the policies that had a say
    Monitor(monitor::Options),
    /// What became of packets, by program and outcome
    Metrics,
    /// Check every link from lease to veth to program to map entry to the other nodes; fails where something is broken
    Doctor {
        /// Mend what can be mended first
        #[arg(long)]
        fix: bool,
    },
    /// What reaches what in the cluster
    #[command(subcommand)]
    Connectivity(connectivity::ConnectivityCommand),
    /// What a bug report needs, in one tar: of all nodes with a kubeconfig, else of this one; without secrets
    Sysdump(sysdump::Options),
    /// Shell completions, to standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand)]
enum List {
    /// All of them
    List,
}

#[derive(Subcommand)]
enum EndpointCommand {
    /// All of them
    List {
        /// Pods of every node, as their objects say
        #[arg(long)]
        all_nodes: bool,
    },
    /// One, by pod (namespace/name), address, container id or its beginning
    Get {
        /// namespace/name, address, or container id
        endpoint: String,
    },
}

#[derive(Subcommand)]
enum ConntrackCommand {
    /// All of them, each from the end that opened it
    List,
    /// Forget them: what goes on is judged as if it had just begun
    Flush {
        /// Those of one address only
        #[arg(long)]
        address: Option<std::net::IpAddr>,
    },
}

#[derive(Subcommand)]
enum MapCommand {
    /// Every entry of a map
    Dump {
        /// fr_endpoints, fr_links, fr_sources, fr_peers, fr_nodes, fr_routes, fr_cidrs, fr_ep_state, fr_tables, fr_policy,
        /// fr_classes, fr_blocks, fr_shares, fr_tenants, fr_quota, fr_services, fr_backends, fr_svc_members, fr_affinity,
        /// fr_svc_socks, fr_svc_tcp, fr_svc_owners, fr_svc_totals or fr_metrics
        name: String,
    },
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // `ferrule … | head` is no error.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            say::complaint(&format!("ferrule: {}", sentence(&error)));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let agent = Agent::at(&cli.socket);
    let get = |path: &str| agent.get::<Value>(path, LIMIT);
    let json = cli.output == Output::Json;
    match cli.command {
        Command::Completions { shell } => {
            // Through a buffer: the generator panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ferrule", &mut script);
            Ok(io::Write::write_all(&mut io::stdout(), &script)?)
        }
        Command::Alive => print::<String>(get(view::ALIVE)?, json, |words| words),
        Command::Status => print::<Status>(get(view::STATUS)?, json, |status| table::status(&status)),
        Command::Endpoint(EndpointCommand::List { all_nodes: true }) => {
            print::<Vec<Pod>>(get(view::PODS)?, json, |rows| table::pods(&rows))
        }
        Command::Endpoint(EndpointCommand::List { all_nodes: false }) => {
            print::<Vec<Endpoint>>(get(view::ENDPOINTS)?, json, |rows| table::endpoints(&rows))
        }
        Command::Endpoint(EndpointCommand::Get { endpoint }) => {
            let all: Vec<Endpoint> = read(get(view::ENDPOINTS)?)?;
            let found: Vec<_> = all.into_iter().filter(|one| is_named(one, &endpoint)).collect();
            if found.is_empty() {
                anyhow::bail!("this node has no endpoint {endpoint}; `ferrule endpoint list` shows those it has");
            }
            print::<Vec<Endpoint>>(serde_json::to_value(found)?, json, |rows| table::endpoint(&rows))
        }
        Command::Node(List::List) => print::<Vec<Node>>(get(view::NODES)?, json, |rows| table::nodes(&rows)),
        Command::Ip(List::List) => print::<Vec<Ip>>(get(view::IPS)?, json, |rows| table::ips(&rows)),
        Command::Map(MapCommand::Dump { name }) => {
            print::<Vec<serde_json::Map<String, Value>>>(get(&view::map(&name))?, json, |rows| table::map(&name, &rows))
        }
        Command::Doctor { fix } => {
            let ask = if fix { Agent::order::<Value> } else { Agent::get::<Value> };
            let answer = ask(&agent, view::DOCTOR, PATIENCE)?;
            let findings: Vec<Finding> = read(answer.clone())?;
            print::<Vec<Finding>>(answer, json, |rows| table::findings(&rows))?;
            let broken = findings.iter().filter(|finding| finding.verdict == Severity::Failure).count();
            anyhow::ensure!(broken == 0, "{broken} of {} checks failed", findings.len());
            Ok(())
        }
        Command::Conntrack(ConntrackCommand::List) => {
            print::<Vec<view::Flow>>(get(view::CONNTRACK)?, json, |rows| table::flows(&rows))
        }
        Command::Conntrack(ConntrackCommand::Flush { address }) => {
            let query = address.map_or_else(String::new, |address| format!("?address={address}"));
            let answer = agent.remove::<Value>(&format!("{}{query}", view::CONNTRACK), LIMIT)?;
            print::<Flushed>(answer, json, |flushed| format!("{} flows are forgotten", flushed.removed))
        }
        Command::Connectivity(command) => connectivity::run(command, json),
        Command::Sysdump(options) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(sysdump::run(&options, &cli.socket))
        }
        Command::Service(command) => service::run(&agent, &command, json),
        Command::Policy(command) => policy::run(&agent, command, json),
        Command::Monitor(options) => monitor::run(&agent, &options, json),
        Command::Metrics => print::<Vec<Sample>>(get(view::METRICS)?, json, |rows| table::metrics(&rows)),
    }
}

fn is_named(endpoint: &Endpoint, name: &str) -> bool {
    endpoint.pod.as_deref() == Some(name)
        || endpoint.addresses.iter().any(|address| address == name)
        || name.len() >= 4 && endpoint.container_id.starts_with(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_flags_have_one_name() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_file_that_is_named_by_the_formats_flag_is_told_its_own() {
        let refused = |words: &[&str]| {
            let parsed = Cli::try_parse_from([&["ferrule"], words].concat());
            parsed.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let error = refused(&["sysdump", "-o", "dump.tar"]);
        assert!(error.contains("dump.tar is none; name the file by --file"), "{error}");
        let error = refused(&["status", "-o", "dump.tar"]);
        assert!(error.contains("[possible values: table, json]") && !error.contains("--file"), "{error}");
        for words in [&["sysdump", "-o", "json"][..], &["-o", "json", "status"], &["sysdump", "-f", "dump.tar"]] {
            assert_eq!(refused(words), "", "{words:?}");
        }
        let help = Cli::command().find_subcommand_mut("sysdump").unwrap().render_long_help().to_string();
        assert!(help.contains("-o is the format"), "{help}");
    }
}
