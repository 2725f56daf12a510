//! The operator's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrule_agent::cli::main()
}
