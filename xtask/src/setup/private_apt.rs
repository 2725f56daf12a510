//! Apt with lists, downloads and an architecture of its own: packages are fetched, not installed, and the machine's state is
//! not touched.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::{arch::Arch, step::step};

/// Apt below a folder.
#[derive(Debug)]
pub struct PrivateApt {
    /// Where everything lies.
    pub folder: PathBuf,
    /// Whose packages are fetched.
    pub arch: Arch,
    /// A list of sources, where it is not the machine's own.
    pub sources: Option<PathBuf>,
}

impl PrivateApt {
    /// Makes its folders.
    ///
    /// # Errors
    /// The file system's.
    pub fn prepare(&self) -> Result<()> {
        for folder in ["state", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.folder.join(folder))?;
        }
        Ok(fs::write(self.folder.join("status"), "")?)
    }

    /// A program of apt's.
    pub fn command(&self, program: &str) -> Command {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("LC_ALL", "C").stdin(Stdio::null());
        let mut options = vec![
            format!("Dir::State={}", at("state")),
            format!("Dir::State::Lists={}", at("lists")),
            format!("Dir::State::Status={}", at("status")),
            format!("Dir::Cache={}", at("cache")),
            format!("APT::Architecture={}", self.arch.debian()),
            format!("APT::Architectures={}", self.arch.debian()),
            "APT::Sandbox::User=".into(),
            "APT::Update::Error-Mode=any".into(),
            "Acquire::Languages=none".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            "Acquire::IndexTargets::deb::CNF::DefaultEnabled=false".into(),
            "Acquire::Retries=3".into(),
        ];
        if let Some(sources) = &self.sources {
            options.extend([
                format!("Dir::Etc::SourceList={}", sources.display()),
                "Dir::Etc::SourceParts=/dev/null".into(),
                "Dir::Etc::PreferencesParts=/dev/null".into(),
            ]);
        }
        command.args(options.iter().flat_map(|option| ["-o", option]));
        command
    }

    /// Reads the sources' indices; signatures are checked.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn update(&self, label: &str) -> Result<()> {
        self.prepare()?;
        step(label, self.command("apt-get").args(["update", "-q"]))
    }

    /// Downloads packages and unpacks them side by side into `root`, which is made at once as a whole.
    ///
    /// # Errors
    /// Where one cannot be had.
    pub fn unpack(&self, packages: &[String], root: &Path) -> Result<()> {
        let (debs, partial) = (self.folder.join("debs"), root.with_extension("partial"));
        for folder in [&debs, &partial] {
            // Left by a run that was ended.
            let _ = fs::remove_dir_all(folder);
            fs::create_dir_all(folder)?;
        }
        let mut download = self.command("apt-get");
        download.current_dir(&debs).args(["download", "-q"]).args(packages);
        let name = packages.first().map_or("", String::as_str);
        step(&format!("download {name} ({})", self.arch.debian()), &mut download)?;
        for deb in fs::read_dir(&debs)? {
            step(&format!("unpack {name}"), Command::new("dpkg-deb").arg("-x").arg(deb?.path()).arg(&partial))?;
        }
        fs::remove_dir_all(&debs)?;
        Ok(fs::rename(&partial, root)?)
    }
}
