//! `ferrule sysdump`: what a bug report needs, in one tar, without secrets.
//!
//! ```text
//! this node:  the agent's answers, maps, links, routes, configuration, preflight ─┐
//! all nodes:  the same from every agent's pod, its log, the cluster's objects ────┴─▶ archive ─▶ tar
//! ```
//! Objects are masked: what is not named in `mask` never gets in. Text is searched for credentials besides.

mod archive;
mod cluster;
mod mask;
mod node;

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use ferrule_api::client::Agent;

use crate::operator;

/// What is gathered, and where to.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The file to write (-o is the format, as everywhere here); - for standard output [default: ferrule-sysdump-TIME.tar]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// This node alone, by its agent's socket [default: where there is no kubeconfig]
    #[arg(long)]
    pub node_only: bool,
    /// This node's configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/ferrule/agent.toml")]
    pub config: PathBuf,
    /// Who asks the API server.
    #[command(flatten)]
    pub access: operator::Credentials,
}

/// Gathers and writes; what could not be gathered stands in the tar and on standard error.
///
/// # Errors
/// Where there is no client, or the file cannot be written.
pub async fn run(options: &Options, socket: &Path) -> Result<()> {
    let now = k8s_openapi::jiff::Timestamp::now();
    let archive = if options.node_only || !options.access.is_found() {
        node::gather(&Agent::at(socket), &options.config).await
    } else {
        cluster::gather(&options.access.client().await?).await
    };
    let usual = || PathBuf::from(format!("ferrule-sysdump-{}.tar", now.strftime("%Y%m%d-%H%M%S")));
    let file = options.file.clone().unwrap_or_else(usual);
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    if file.as_os_str() == "-" {
        return Ok(archive.write(io::stdout().lock(), seconds)?);
    }
    // Not for everybody's eyes: it tells of the whole cluster.
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file);
    let opened = opened.with_context(|| format!("--file: {}", file.display()))?;
    archive.write(opened, seconds).with_context(|| file.display().to_string())?;
    let (files, problems) = archive.summary();
    let mut errors = io::stderr();
    for problem in problems {
        writeln!(errors, "not gathered: {problem}")?;
    }
    writeln!(io::stdout(), "{}: {files} files", file.display())?;
    Ok(())
}
