//! The operator's command line.

mod cli;
mod connectivity;
mod operator;
mod sysdump;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
