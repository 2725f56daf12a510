//! `cargo xtask bench`: this datapath beside others, on one machine, in alternating rounds.
//!
//! ```text
//!   lab ──▶ scenario ──▶ rows ──▶ target ──▶ show: table, SVG, Markdown, JSON
//!   (all subjects         ▲
//!    stand at once)       └── statistics: medians of rounds, and how sure they are
//! ```

mod judge;
mod lab;
mod machine;
mod process;
mod row;
mod scenario;
mod settings;
mod show;
mod statistics;
mod target;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use row::Row;
use scenario::Scenario;
use settings::Settings;
use test_kit::traffic::load::{Spinners, prefer};

/// This datapath beside others, on one machine, in alternating rounds
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    /// Write every figure as a row of JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write performance.md and performance.svg there
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
    /// How many rounds, at least 12; with --quick at least 1 [default: 60, with --quick 2]
    #[arg(long, value_name = "N")]
    rounds: Option<u16>,
    /// These scenarios only
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO,…")]
    only: Vec<Scenario>,
    /// Short, to see that it runs: the figures judge nothing
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let settings = Settings::new(cli.quick, cli.rounds)?;
    let scenarios = if cli.only.is_empty() { Scenario::ALL.to_vec() } else { cli.only.clone() };
    if let Some(folder) = &cli.report {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let start = Instant::now();
    let (mut rows, failures) = measure(&scenarios, &settings)?;
    judge::judge(&mut rows);
    print!("{}", show::table(&rows));
    println!("{}\nThis took {:.0} s.", judge::sum(&rows), start.elapsed().as_secs_f64());
    if settings.quick {
        println!("A quick run shows that everything can be measured; its figures judge nothing.");
    }
    if let Some(file) = &cli.json {
        write(file, &(serde_json::to_string_pretty(&rows)? + "\n"))?;
    }
    if let Some(folder) = &cli.report {
        write(&folder.join("performance.md"), &show::markdown(&rows, &settings)?)?;
        write(&folder.join("performance.svg"), &show::plot(&rows)?)?;
    }
    ensure!(failures.is_empty(), "not everything was measured:\n{}", failures.join("\n"));
    Ok(())
}

/// The rows, and what failed: the rest is measured all the same.
fn measure(scenarios: &[Scenario], settings: &Settings) -> Result<(Vec<Row>, Vec<String>)> {
    prefer()?;
    let _awake = Spinners::start(machine::cpus()?);
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for scenario in scenarios {
        println!("{scenario}: {}", scenario.about());
        match scenario.run(settings) {
            Ok(more) => rows.extend(more),
            Err(error) => failures.push(format!("{scenario}: {error:#}")),
        }
    }
    Ok((rows, failures))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    println!("{}", file.display());
    Ok(())
}
