//! The node agent's binary.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use ferrule_agent::{
    allocator, cleanup,
    config::{self, Config, Options},
    install, preflight, run, say, uninstall,
};
use ferrule_api::chain::sentence;
use ferrule_kernel::net;

/// Ferrule's node agent: fills the eBPF maps, leases addresses and serves the CNI plugin
#[derive(Parser)]
#[command(name = "ferrule-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve this node until SIGTERM; pods keep their network when it ends
    Run(Arguments),
    /// Remove what the agent and the plugin made on this node, pods' links included
    ///
    /// The CNI configuration is looked for in --cni-conf-dir, else in /etc/cni/net.d, and the plugin in --cni-bin-dir. The
    /// plugin's log and changed sysctls stay.
    Cleanup {
        /// Serve /livez and /readyz meanwhile, try again what fails, and stay until SIGTERM
        #[arg(long)]
        stay: bool,
        #[command(flatten)]
        arguments: Arguments,
    },
    /// Let every node's agent clean up its node, as `helm uninstall` does first
    Uninstall {
        #[command(flatten)]
        uninstall: uninstall::Request,
        #[command(flatten)]
        arguments: Arguments,
    },
    /// Put the CNI plugin into the node's folder of plugins, in one step
    Install {
        /// The folder
        #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
        cni_bin_dir: PathBuf,
        /// The plugin [default: the one beside this program]
        #[arg(long, value_name = "FILE")]
        plugin: Option<PathBuf>,
    },
    /// Say what this node's kernel has and what that means; changes nothing, fails where the agent could not run
    Preflight {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        arguments: Arguments,
    },
}

/// What needs the configuration and a runtime.
enum What {
    Run,
    Cleanup,
    CleanupAndStay,
    Uninstall(uninstall::Request),
}

#[derive(clap::Args)]
struct Arguments {
    /// TOML file with any of the settings below; a flag wins [default: /etc/ferrule/agent.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

const DEFAULT_CONFIG: &str = "/etc/ferrule/agent.toml";

impl Arguments {
    fn config(self) -> anyhow::Result<Config> {
        let file = match self.config {
            Some(path) => Options::read(&path)?,
            None if std::path::Path::new(DEFAULT_CONFIG).exists() => Options::read(DEFAULT_CONFIG.as_ref())?,
            None => Options::default(),
        };
        Ok(self.options.or(file).check()?)
    }
}

/// The command line: also that of the agent with another layout, for tests.
pub fn main() -> ExitCode {
    allocator::share_heaps();
    match start(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::complaint(&format!("ferrule-agent: {}", sentence(&error)));
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> anyhow::Result<()> {
    // Everything made here is root's alone.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let (arguments, what) = match command {
        Command::Run(arguments) => (arguments, What::Run),
        Command::Cleanup { stay: false, arguments } => (arguments, What::Cleanup),
        Command::Cleanup { stay: true, arguments } => (arguments, What::CleanupAndStay),
        Command::Uninstall { uninstall, arguments } => (arguments, What::Uninstall(uninstall)),
        Command::Install { cni_bin_dir, plugin } => return install(&cni_bin_dir, plugin),
        Command::Preflight { json, arguments } => return check(json, &arguments.config()?),
    };
    let config = arguments.config()?;
    net::sysctl::at(&config.sysctl_root);
    let filter = config::log_filter(&config.log_level)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match what {
            What::Run => run::run(config).await,
            What::Cleanup => cleanup::cleanup(&config).await,
            What::CleanupAndStay => uninstall::clean_and_stay(&config).await,
            What::Uninstall(options) => uninstall::uninstall(&config.source, &options).await,
        }
    })
}

fn install(folder: &Path, plugin: Option<PathBuf>) -> anyhow::Result<()> {
    let plugin = match plugin {
        Some(plugin) => plugin,
        None => std::env::current_exe()?.with_file_name(install::plugin::NAME),
    };
    let done = if install::plugin::install(&plugin, folder)? { "installed" } else { "there already" };
    say::line(&format!("{}: {done}", folder.join(install::plugin::NAME).display()))?;
    Ok(())
}

fn check(json: bool, config: &Config) -> anyhow::Result<()> {
    net::sysctl::at(&config.sysctl_root);
    let checks = preflight::run(config, preflight::Depth::Whole);
    say::line(&if json { serde_json::to_string_pretty(&checks)? } else { preflight::table(&checks) })?;
    match preflight::refusal(&checks) {
        Some(_) => anyhow::bail!("this node cannot run Ferrule; the lines that say FAILS tell what to do"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn no_two_flags_have_one_name() {
        super::Cli::command().debug_assert();
    }
}
