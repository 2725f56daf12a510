//! Random clusters, what happens to them, and packets: the loaded programs over compiled maps, against the oracle.
//!
//! ```text
//! seed ─▶ case ─┬─▶ oracle: flows, judge ────────────────────────┐
//!               └─▶ compiler ─▶ steps ─▶ maps ─▶ programs ─▶ verdict ─▶ equal?
//! ```

mod case;
mod datapath;
mod frame;
mod maps;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;

/// Random packets through the programs and the oracle
#[derive(Parser)]
struct Options {
    /// At least so many packets
    #[arg(long, default_value = "100000")]
    packets: u64,
    /// The first case's seed; the next case has the next number
    #[arg(long, default_value = "1")]
    seed: u64,
    /// End after so many differences
    #[arg(long, default_value = "5")]
    differences: usize,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<usize> {
    ensure!(nix::unistd::Uid::effective().is_root(), "the differential test loads eBPF programs: run it as root");
    let mut datapaths = datapath::Datapaths::load()?;
    let mut tally = case::Tally::default();
    let mut differences = 0;
    let mut seed = options.seed;
    while tally.packets < options.packets && differences < options.differences {
        for difference in case::run(&mut datapaths, seed, &mut tally)? {
            println!("{difference}");
            differences += 1;
        }
        seed += 1;
    }
    println!(
        "seeds {} to {}, {} events, {} packets dropped and {} passed, {} of them in flows that stood",
        options.seed,
        seed - 1,
        tally.events,
        tally.dropped,
        tally.packets - tally.dropped,
        tally.standing
    );
    println!("{} packets, {differences} differences", tally.packets);
    Ok(differences)
}
