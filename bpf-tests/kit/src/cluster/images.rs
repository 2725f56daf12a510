//! The images that every cluster has: pause, and agnhost, Kubernetes' own collection of servers and clients for tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{Cluster, archive, binaries, process::run, settings::PAUSE};

/// Servers and clients for tests.
pub const AGNHOST: &str = "localhost/agnhost:1";
/// The cluster's name server.
pub const COREDNS: &str = "localhost/coredns:1";
/// Ferrule with another layout of every map, as another version of it may have.
pub const OTHER_VERSION: &str = "localhost/ferrule:other-layout";
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

/// Gives every node the image of [`OTHER_VERSION`], put together of the binaries that tests run.
///
/// # Errors
/// Where they were not built, or a node's containerd refuses the image.
pub fn other_version(cluster: &Cluster) -> Result<()> {
    let (from, parts) = (binaries()?, cluster.folder.join("other-version"));
    fs::create_dir_all(&parts).with_context(|| parts.display().to_string())?;
    let programs = [("ferrule-agent-other", "ferrule-agent"), ("ferrule-cni", "ferrule-cni"), ("ferrule", "ferrule")];
    let mut files = Vec::new();
    for (program, name) in programs {
        let (program, small) = (from.join(program), parts.join(name));
        ensure!(program.exists(), "{} is missing; `cargo xtask test cluster` builds it", program.display());
        run(Command::new("strip").arg("-o").arg(&small).arg(&program))?;
        for library in libraries(&program)? {
            files.push((library.trim_start_matches('/').to_owned(), PathBuf::from(library)));
        }
        files.push((format!("usr/bin/{name}"), small));
    }
    // The first is what the image runs.
    files.sort_by_key(|(name, _)| name != "usr/bin/ferrule-agent");
    let files: Vec<(&str, PathBuf)> = files.iter().map(|(name, file)| (name.as_str(), file.clone())).collect();
    let file = parts.join("ferrule-other.tar");
    archive::write(OTHER_VERSION, &files, &file)?;
    cluster.load(&file)?;
    Ok(fs::remove_dir_all(parts)?)
}

/// The shared libraries of a program and their loader, as `ldd` finds them.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let listing = run(Command::new("ldd").arg(program).env("LC_ALL", "C"))?;
    let file = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    Ok(listing.lines().filter_map(file).collect())
}
