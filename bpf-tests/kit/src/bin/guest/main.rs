//! The only program of a guest with another kernel: PID 1, which runs tests and powers off. `cargo xtask test kernels`
//! lays it into an initramfs as `/init`, and reads from the console what it says.
//!
//! ```text
//!   /modules/NN-name.ko   in the order in which they are loaded
//!   /bin/                 the agent, the plugin, the command line
//!   /ebpf/                the objects
//!   /tests/NAME           a test binary
//!   /tests/NAME.wanted    a part of a test's name a line; the tests that run
//!   /tests/NAME.unwanted  the same, of tests that cannot run on this kernel
//!   /tests/NAME.together  is there where its tests share one process
//! ```

mod machine;
mod report;
mod tests;

use std::{panic, process::ExitCode};

use anyhow::Result;

fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("guest: this is PID 1 of a virtual machine, and nothing else; `cargo xtask test kernels` starts one");
        return ExitCode::FAILURE;
    }
    let outcome = panic::catch_unwind(run);
    match outcome {
        Ok(Ok(())) => report::end(),
        Ok(Err(error)) => report::broken(&format!("{error:#}")),
        Err(_) => report::broken("the guest's first process panicked"),
    }
    machine::power_off()
}

fn run() -> Result<()> {
    machine::mount()?;
    machine::load_modules()?;
    machine::up()?;
    tests::run()
}
