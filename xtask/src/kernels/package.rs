//! A release's kernel, from the suite's signed index. Apt's lists and downloads lie below `target/kernels`; the machine's
//! own are not touched.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{mirror, release::Release};
use crate::{
    setup::{apt::KEYRING, private_apt::PrivateApt},
    step::capture,
    workspace::Workspace,
};

/// The file that names the suite and its mirror.
const SOURCES: &str = "sources.list";
/// An index is read again after this time.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// A kernel on this disk.
#[derive(Debug)]
pub struct Kernel {
    /// Where it comes from.
    pub release: Release,
    /// The package, whose name has the version.
    pub version: String,
    /// What the emulator boots.
    pub image: PathBuf,
    /// The folder with `kernel/` and `modules.builtin`.
    pub modules: PathBuf,
}

/// Fetches it where it is not there.
///
/// # Errors
/// Without a network, or where the suite has no such kernel.
pub fn fetch(workspace: &Workspace, release: Release) -> Result<Kernel> {
    let folder = workspace.kernels().join(format!("{}-{}", release.suite, release.arch.debian()));
    let sources = Some(folder.join(SOURCES));
    let suite = Suite { release, apt: PrivateApt { folder, arch: release.arch, sources } };
    suite.update()?;
    let package = suite.newest()?;
    let root = suite.apt.folder.join(&package);
    if !root.exists() {
        suite.unpack(&package, &root)?;
    }
    let image = find(&root, &|path| name(path).starts_with("vmlinuz"));
    let builtin = find(&root, &|path| name(path) == "modules.builtin");
    match (image, builtin.as_deref().and_then(Path::parent)) {
        (Some(image), Some(modules)) => Ok(Kernel { release, version: package, image, modules: modules.into() }),
        _ => bail!("{}: {package} holds no kernel or no modules; remove the folder and try again", root.display()),
    }
}

/// A suite of Debian's, and the files that apt keeps of it.
struct Suite {
    release: Release,
    apt: PrivateApt,
}

impl Suite {
    /// Reads the suite's index, from the first mirror that has it.
    fn update(&self) -> Result<()> {
        let stamp = self.apt.folder.join("updated");
        let age = fs::metadata(&stamp).and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age < FRESH) {
            return Ok(());
        }
        self.apt.prepare()?;
        let suite = self.release.suite;
        let mut failures = Vec::new();
        for mirror in mirror::all() {
            let source = format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
            fs::write(self.apt.folder.join(SOURCES), source)?;
            match self.apt.update(&format!("read the index of {suite} ({})", self.release.arch.debian())) {
                Ok(()) => return Ok(fs::write(&stamp, mirror)?),
                Err(error) => failures.push(format!("{mirror}: {error:#}")),
            }
        }
        bail!(
            "Debian's suite {suite}, whose kernel is tested, cannot be read; check the network and the proxy \
             (http_proxy), or the mirror in /etc/apt:\n{}",
            failures.join("\n")
        )
    }

    /// The package that the suite's meta package depends on.
    fn newest(&self) -> Result<String> {
        let meta = format!("linux-image-cloud-{}", self.release.arch.debian());
        let wanted = format!("linux-image-{}", self.release.version);
        let depends = self.depends(&meta)?;
        let found = depends.into_iter().find(|name| name.starts_with("linux-image-"));
        let found = found.with_context(|| format!("{meta} of {} depends on no kernel", self.release.suite))?;
        if !found.starts_with(&wanted) {
            bail!(
                "{} now has {found}, and {wanted}… was expected; put another suite into xtask/src/kernels/release.rs",
                self.release.suite
            );
        }
        Ok(found)
    }

    /// The names of the packages that one depends on.
    fn depends(&self, package: &str) -> Result<Vec<String>> {
        let text = capture(self.apt.command("apt-cache").args(["show", "--no-all-versions", package]))
            .with_context(|| format!("Debian's suite {} has no package {package}", self.release.suite))?;
        let depends = text.lines().find_map(|line| line.strip_prefix("Depends: ")).unwrap_or_default();
        Ok(depends.split([',', '|']).filter_map(|one| Some(one.split_whitespace().next()?.to_owned())).collect())
    }

    /// Unpacks a kernel's package and those that it is split into.
    fn unpack(&self, package: &str, root: &Path) -> Result<()> {
        let version = package.trim_start_matches("linux-image-");
        let parts = self.depends(package)?.into_iter().filter(|name| name.ends_with(version));
        let packages: Vec<_> = [package.to_owned()].into_iter().chain(parts).collect();
        self.apt.unpack(&packages, root)
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The first file below `folder` that fits.
pub fn find(folder: &Path, fits: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let entries: Vec<_> = fs::read_dir(folder).ok()?.flatten().collect();
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let files = entries.iter().filter(|entry| !is_folder(entry)).map(fs::DirEntry::path);
    let within = || entries.iter().filter(|entry| is_folder(entry)).find_map(|entry| find(&entry.path(), fits));
    files.into_iter().find(|path| fits(path)).or_else(within)
}
