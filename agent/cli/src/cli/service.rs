//! `ferrule service`.

use clap::Subcommand;
use ferrule_api::{client::Agent, view};
use serde_json::Value;

use super::{
    answer::{LIMIT, print},
    table,
};

#[derive(Subcommand)]
pub(super) enum ServiceCommand {
    /// All of them
    List,
    /// One, with its backends
    Get {
        /// namespace/name; a name alone is of the namespace default
        service: String,
    },
}

pub(super) fn run(agent: &Agent, command: &ServiceCommand, json: bool) -> anyhow::Result<()> {
    match command {
        ServiceCommand::List => {
            let answer = agent.get::<Value>(view::SERVICES, LIMIT)?;
            print::<Vec<view::Service>>(answer, json, |rows| table::service_list(&rows))
        }
        ServiceCommand::Get { service } => {
            let (namespace, name) = service.split_once('/').unwrap_or(("default", service));
            let answer = agent.get::<Value>(&view::service(namespace, name), LIMIT)?;
            if answer.as_array().is_none_or(Vec::is_empty) {
                anyhow::bail!("there is no Service {namespace}/{name}; `ferrule service list` shows those there are");
            }
            print::<Vec<view::Service>>(answer, json, |rows| table::service(&rows))
        }
    }
}
