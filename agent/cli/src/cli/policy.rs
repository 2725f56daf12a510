//! `ferrule policy`: what is in force, why something may pass, and what would change.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Context;
use clap::Subcommand;
use ferrule_api::{
    client::Agent,
    view,
    view::{Policy, encoded},
};
use serde_json::Value;

use super::{
    answer::{LIMIT, PATIENCE, print, read},
    table,
};

#[derive(Subcommand)]
pub(super) enum PolicyCommand {
    /// All of them, with the pods of this node that each selects
    List,
    /// One, as namespace/name
    Get {
        /// namespace/name
        policy: String,
    },
    /// May this pass, and which rules say so? Fails where the live maps say otherwise
    Explain {
        /// namespace/name of a pod, an address, or node
        source: String,
        /// As the source
        destination: String,
        /// tcp, udp, sctp, icmp, or a number [default: tcp with a port, else icmp]
        #[arg(long)]
        protocol: Option<String>,
        /// The destination port
        #[arg(long)]
        port: Option<u16>,
        /// The IPv6 addresses of pods
        #[arg(short = '6', long)]
        ipv6: bool,
    },
    /// What would change for this node's pods and flows if these manifests were applied
    Check {
        /// YAML or JSON
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

pub(super) fn run(agent: &Agent, command: PolicyCommand, json: bool) -> anyhow::Result<()> {
    match command {
        PolicyCommand::List => {
            print::<Vec<Policy>>(agent.get::<Value>(view::POLICIES, LIMIT)?, json, |rows| table::policies(&rows))
        }
        PolicyCommand::Get { policy } => {
            let all: Vec<Policy> = agent.get(view::POLICIES, LIMIT)?;
            let found: Vec<_> = all.into_iter().filter(|one| one.name == policy).collect();
            if found.is_empty() {
                anyhow::bail!("there is no NetworkPolicy {policy}; `ferrule policy list` shows those there are");
            }
            print::<Vec<Policy>>(serde_json::to_value(found)?, json, |rows| table::policy(&rows))
        }
        PolicyCommand::Explain { source, destination, protocol, port, ipv6 } => {
            let mut query = format!("?source={}&destination={}", encoded(&source), encoded(&destination));
            query.extend(protocol.map(|protocol| format!("&protocol={}", encoded(&protocol))));
            query.extend(port.map(|port| format!("&port={port}")));
            query.extend(ipv6.then_some("&family=6"));
            let answer = agent.get::<Value>(&format!("{}{query}", view::EXPLAIN), LIMIT)?;
            let explained: view::Explained = read(answer.clone())?;
            print::<view::Explained>(answer, json, |explained| table::explained(&explained))?;
            anyhow::ensure!(
                explained.agrees,
                "the live maps say otherwise; `ferrule status` and the agent's log tell more"
            );
            Ok(())
        }
        PolicyCommand::Check { files } => {
            let mut manifests = BTreeMap::new();
            for file in files {
                let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
                manifests.insert(file.display().to_string(), text);
            }
            let answer = agent.send::<Value>(view::CHECK_POLICY, &manifests, PATIENCE)?;
            let checked: view::Checked = read(answer.clone())?;
            print::<view::Checked>(answer, json, |checked| table::checked(&checked))?;
            anyhow::ensure!(checked.problems.is_empty(), "not everything could be read");
            Ok(())
        }
    }
}
