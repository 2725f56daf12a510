//! The images that every cluster has: pause, and agnhost, Kubernetes' own collection of servers and clients for tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{archive, process::run, settings::PAUSE};

/// Servers and clients for tests.
pub const AGNHOST: &str = "localhost/agnhost:1";
/// The cluster's name server.
pub const COREDNS: &str = "localhost/coredns:1";
/// Waits for signals and for processes that are left to it, and nothing else.
const PAUSE_SOURCE: &str = "#include <signal.h>\n#include <sys/wait.h>\n#include <unistd.h>\n\
static void end(int s) { (void)s; _exit(0); }\n\
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0); }\n\
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, reap); for (;;) pause(); }\n";

/// Writes those that are missing into a folder.
///
/// # Errors
/// Where a program is missing or does not compile.
pub fn ensure(folder: &Path, programs: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let missing = |file: &PathBuf| !file.exists();
    if let Some(file) = Some(folder.join("pause.tar")).filter(missing) {
        let (source, program) = (folder.join("pause.c"), folder.join("pause"));
        fs::write(&source, PAUSE_SOURCE)?;
        run(Command::new("gcc").args(["-static", "-O2", "-o"]).arg(&program).arg(&source))?;
        archive::write(PAUSE, &[("pause", program.clone())], &file)?;
        fs::remove_file(source)?;
        fs::remove_file(program)?;
    }
    for (name, image) in [("agnhost", AGNHOST), ("coredns", COREDNS)] {
        if let Some(file) = Some(folder.join(format!("{name}.tar"))).filter(missing) {
            archive::write(image, &[(name, programs.join(name))], &file)?;
        }
    }
    Ok(())
}
