//! The file system of guests: the same for all of one architecture, but for the modules.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{binaries::Binaries, cpio::Archive, libraries, release::Release};
use crate::{
    arch::Arch,
    ebpf,
    step::capture,
    workspace::{Workspace, program},
};

/// The project's programs, which topologies start.
const BINARIES: [&str; 3] = ["ferrule-agent", "ferrule-cni", "ferrule"];
/// What the topologies of network namespaces call.
const TOOLS: [&str; 5] = ["ip", "tc", "nsenter", "ping", "bpftool"];

/// A test binary, and parts of the names of its tests that run in guests.
type Tests = (&'static str, &'static [&'static str]);

/// What runs on this machine's architecture: all packets, and of the networks those that meet what kernels differ in.
const TESTS: [Tests; 2] = [
    ("packets", &[""]),
    (
        "netns",
        &[
            "reach::dual_stack_by_",
            "attach::from_one_way",
            "encapsulation::datagrams",
            "encapsulation::nodes_on_a_vlan",
            "encapsulation::pods_packets",
            "encapsulation::segments",
            "encapsulation::what_a_host",
            "preflight::",
            "hostile::an_overlay_packet",
            "policy::own_node::probes_pass_where",
            "policy::live::an_ingress_policy_cuts",
            "bandwidth::own::by_vxlan",
            "bandwidth::own::a_chained_plugin",
            "service::refused::a_port",
            "service::changes::a_udp_socket",
            "small_mtu::an_underlay",
            "sources::an_address",
        ],
    ),
];
/// Its tests share one process, since they share what they load.
const TOGETHER: &str = "packets";
/// What runs emulated.
const EMULATED: [Tests; 1] = [("packets", &[""])];

/// The archive, with those tests whose names hold one of `names`, or all.
///
/// # Errors
/// Where something is missing or does not compile.
pub fn archive(workspace: &Workspace, arch: Arch, names: &[&String]) -> Result<Vec<u8>> {
    let binaries = Binaries::build(workspace, arch)?;
    let mut root = Root {
        arch,
        archive: Archive::default(),
        scratch: workspace.kernels().join("strip"),
        libraries: BTreeSet::new(),
    };
    root.skeleton();
    root.binary(binaries.get("guest")?, "init")?;
    for object in ebpf::OBJECTS {
        root.archive.file(&format!("ebpf/{object}"), 0o644, &fs::read(workspace.ebpf().join(object))?);
    }
    let own = arch == Arch::host();
    if own {
        for name in BINARIES {
            root.binary(binaries.get(name)?, &format!("usr/bin/{name}"))?;
        }
        for tool in TOOLS {
            let file = program(tool).with_context(|| format!("{tool} is missing; run `cargo xtask setup kernels`"))?;
            root.binary(&file, &format!("usr/bin/{tool}"))?;
        }
    }
    for (name, parts) in if own { &TESTS[..] } else { &EMULATED[..] } {
        root.binary(binaries.get(name)?, &format!("tests/{name}"))?;
        root.archive.file(&format!("tests/{name}.wanted"), 0o644, wanted(parts, names).as_bytes());
        if *name == TOGETHER {
            root.archive.file(&format!("tests/{name}.together"), 0o644, &[]);
        }
    }
    Ok(root.archive.finish())
}

/// What one release adds to the archive: a list of the tests that cannot run on it for each of the test binaries.
pub fn exceptions(release: &Release) -> Vec<u8> {
    let mut archive = Archive::default();
    for (binary, lines) in unwanted(release) {
        archive.file(&format!("tests/{binary}.unwanted"), 0o644, lines.as_bytes());
    }
    archive.finish()
}

/// By test binary, a line for each part of a name that does not run.
fn unwanted(release: &Release) -> BTreeMap<&'static str, String> {
    let mut lists = BTreeMap::<_, String>::new();
    for exception in release.exceptions {
        let list = lists.entry(exception.binary).or_default();
        list.push_str(exception.part);
        list.push('\n');
    }
    lists
}

/// A line for each part of a name that runs; a name that is asked for runs wherever it is.
fn wanted(parts: &[&str], names: &[&String]) -> String {
    let lines: Vec<_> =
        if names.is_empty() { parts.to_vec() } else { names.iter().map(|name| name.as_str()).collect() };
    lines.join("\n") + "\n"
}

struct Root {
    arch: Arch,
    archive: Archive,
    scratch: PathBuf,
    libraries: BTreeSet<PathBuf>,
}

impl Root {
    /// Folders, and the links that distributions have.
    fn skeleton(&mut self) {
        for folder in ["usr/bin", "usr/lib", "usr/lib64", "etc", "var/lib", "root"] {
            self.archive.folder(folder);
        }
        for (path, target) in [("bin", "usr/bin"), ("sbin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")] {
            self.archive.link(path, target);
        }
        self.archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    }

    /// A program without its debug information, and the libraries that it needs.
    fn binary(&mut self, file: &Path, path: &str) -> Result<()> {
        let strip =
            if self.arch == Arch::host() { "strip".into() } else { format!("{}-linux-gnu-strip", self.arch.gnu()) };
        capture(Command::new(strip).arg("-o").arg(&self.scratch).arg(file))?;
        self.archive.file(path, 0o755, &fs::read(&self.scratch)?);
        fs::remove_file(&self.scratch)?;
        if self.arch != Arch::host() {
            return Ok(());
        }
        for library in libraries::of(file)? {
            if self.libraries.insert(library.clone()) {
                self.archive.file(&within_usr(&library), 0o755, &fs::read(&library)?);
            }
        }
        Ok(())
    }
}

/// `/lib` is a link to `/usr/lib` in the guest.
fn within_usr(library: &Path) -> String {
    let path = library.to_string_lossy();
    let path = path.trim_start_matches('/');
    if path.starts_with("usr/") { path.into() } else { format!("usr/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test that is renamed would else fail on that kernel alone.
    #[test]
    fn every_exception_names_tests_that_there_are() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bpf-tests");
        for exception in Release::all().iter().flat_map(|release| release.exceptions) {
            let folder = match exception.binary {
                "packets" => tests.join("packets/tests/packets"),
                other => tests.join("tests").join(other),
            };
            let (module, test) = exception.part.rsplit_once("::").expect("a module and a part of a name");
            let file = folder.join(module.replace("::", "/")).with_extension("rs");
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert!(text.contains(&format!("fn {test}")), "{} has no test {test}…", file.display());
        }
    }

    #[test]
    fn every_exception_of_a_release_is_in_its_binarys_list() {
        for release in Release::all() {
            let lists = unwanted(&release);
            for exception in release.exceptions {
                assert!(lists[exception.binary].lines().any(|line| line == exception.part), "{exception:?}");
            }
        }
    }
}
