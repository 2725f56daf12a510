//! `ferrule connectivity`: the test, and what its own pods run.

use std::{io::Write, net::SocketAddr};

use clap::Subcommand;
use ferrule_api::view::Finding;

use super::table;
use crate::connectivity;

#[derive(Subcommand)]
pub(super) enum ConnectivityCommand {
    /// Test pods, nodes, Services, names and policies with pods of its own, which it removes; fails where something is broken
    Test(connectivity::Options),
    /// In the test's pods: say who answers, by TCP and UDP
    #[command(hide = true)]
    Serve,
    /// In the test's pods: wait to be asked to ask
    #[command(hide = true)]
    Wait,
    /// In the test's pods: ask others, and print their answers
    #[command(hide = true)]
    Ask {
        /// A list of questions, as JSON
        questions: String,
    },
    /// In the test's pods: print when it begins and ceases to pass
    #[command(hide = true)]
    Watch {
        /// Where to
        to: SocketAddr,
    },
}

pub(super) fn run(command: ConnectivityCommand, json: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            ConnectivityCommand::Test(options) => report(&connectivity::run(&options).await?, json),
            ConnectivityCommand::Serve => Ok(connectivity::serve::run().await?),
            ConnectivityCommand::Wait => {
                ferrule_agent::run::stopped().await;
                Ok(())
            }
            ConnectivityCommand::Ask { questions } => {
                let answers = connectivity::ask::ask_all(serde_json::from_str(&questions)?).await;
                Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&answers)?)?)
            }
            ConnectivityCommand::Watch { to } => Ok(connectivity::watch::run(to).await?),
        }
    })
}

fn report(findings: &[Finding], json: bool) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string_pretty(findings)? } else { table::findings(findings) };
    writeln!(std::io::stdout(), "{text}")?;
    let broken = connectivity::broken(findings);
    anyhow::ensure!(broken == 0, "{broken} of {} checks failed", findings.len());
    Ok(())
}
