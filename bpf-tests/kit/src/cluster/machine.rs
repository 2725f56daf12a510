//! A node's machine: namespaces with a first process that outlives this program (`machine-init.sh`), and control groups of
//! its own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    fabric::Fabric,
    process::{end, run, running, start, wait},
    settings,
};
use crate::topology::Cgroup;

const INIT: &str = include_str!("machine-init.sh");
/// How long anything may take to start.
const START: Duration = Duration::from_secs(30);

/// A machine, which may be there or not.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The name of its control groups.
    pub group: String,
}

impl Machine {
    /// A machine of a cluster.
    #[must_use]
    pub fn new(name: String, folder: PathBuf, fabric: &Fabric) -> Self {
        let group = format!("ferrule-{}-{name}", fabric.0);
        Self { name, folder, group }
    }

    /// Boots it; containerd is started, not waited for.
    ///
    /// # Errors
    /// Where something cannot be mounted or started.
    pub fn boot(&self) -> Result<()> {
        fs::create_dir_all(self.folder.join("log")).with_context(|| self.folder.display().to_string())?;
        let path = |name: &str| self.folder.join(name);
        fs::write(path("init.sh"), INIT)?;
        fs::write(path("containerd.toml"), settings::containerd(&self.folder))?;
        // Controllers in hierarchies of their own beside version 2, as some distributions have it.
        if unified() != Path::new("/sys/fs/cgroup") {
            fs::write(path("hybrid"), "")?;
        }
        let group = unified().join(&self.group);
        fs::create_dir_all(&group).with_context(|| group.display().to_string())?;
        // Entering the group first makes it the root of the new namespace of control groups: what is attached there sees
        // this node alone.
        let script = format!(
            "echo $$ > {}/cgroup.procs; exec unshare --cgroup --mount --net --pid --ipc --uts --fork --propagation private \
             --mount-proc bash {} {} {}",
            group.display(),
            path("init.sh").display(),
            self.name,
            self.folder.display(),
        );
        start(Command::new("bash").args(["-c", &script]), &path("log/init.log"), &path("unshare.pid"))?;
        let first = wait(&format!("the first process of {}", self.name), START, || self.first_child())?;
        fs::write(path("pid"), first.to_string())?;
        wait(&format!("{} is up", self.name), START, || match path("ready").exists() {
            true => Ok(()),
            false => bail!("{}", fs::read_to_string(path("log/init.log")).unwrap_or_default()),
        })
    }

    fn first_child(&self) -> Result<u32> {
        let parent = running(&self.folder.join("unshare.pid")).context("it has ended")?;
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        children.split_whitespace().next().context("it has no child yet")?.parse().context("a number")
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        running(&self.folder.join("pid")).is_some()
    }

    /// The path of its network namespace.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn netns(&self) -> Result<PathBuf> {
        let pid = running(&self.folder.join("pid")).with_context(|| format!("{} does not run", self.name))?;
        Ok(format!("/proc/{pid}/ns/net").into())
    }

    /// Its files, seen from here.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn root(&self) -> Result<PathBuf> {
        let pid = running(&self.folder.join("pid")).with_context(|| format!("{} does not run", self.name))?;
        Ok(format!("/proc/{pid}/root").into())
    }

    /// Its cgroup, for sockets that a test opens in the place of one of its programs.
    #[must_use]
    pub fn cgroup(&self) -> Cgroup {
        Cgroup::known(unified().join(&self.group))
    }

    /// A program that runs on it.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let pid = fs::read_to_string(self.folder.join("pid")).unwrap_or_default();
        let script = format!(
            "echo $$ > {}/cgroup.procs; exec nsenter -t {pid} -m -n -p -i -u -C -- \"$0\" \"$@\"",
            unified().join(&self.group).display()
        );
        let mut command = Command::new("bash");
        command.args(["-c", &script, program]);
        command
    }

    /// Runs a line of words on it, which must succeed; its output.
    ///
    /// # Errors
    /// Where it fails: what it printed.
    pub fn run(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        run(self.command(words.next().unwrap_or_default()).args(words))
    }

    /// Starts a program on it that outlives this one, its log and its number under `name`.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(&self, name: &str, program: &str, arguments: &[String]) -> Result<()> {
        let (log, pid) = (self.folder.join(format!("log/{name}.log")), self.folder.join(format!("{name}.pid")));
        start(self.command(program).args(arguments), &log, &pid)
    }

    /// Ends a program that [`Self::start`] started.
    ///
    /// # Errors
    /// Where it does not go.
    pub fn end(&self, name: &str) -> Result<()> {
        // The number is nsenter's, whose child is another process: the kernel hands a signal on to neither.
        if let Some(parent) = running(&self.folder.join(format!("{name}.pid"))) {
            for child in children(parent.as_raw()) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL);
            }
        }
        end(&self.folder.join(format!("{name}.pid")))
    }

    /// Starts containerd, and waits until it answers.
    ///
    /// # Errors
    /// Where it does not.
    pub fn await_containerd(&self) -> Result<()> {
        wait(&format!("containerd of {}", self.name), START, || self.ctr("version").map(drop))
    }

    /// `ctr` there, in the namespace of Kubernetes.
    ///
    /// # Errors
    /// Where it fails.
    pub fn ctr(&self, line: &str) -> Result<String> {
        self.run(&format!("ctr -a /run/containerd/containerd.sock -n k8s.io {line}"))
    }

    /// Switches it off: the kernel ends everything in it. Its disk stays.
    ///
    /// # Errors
    /// Where a process does not go.
    pub fn halt(&self) -> Result<()> {
        for name in ["pid", "unshare.pid", "kubelet.pid", "kube-proxy.pid"] {
            end(&self.folder.join(name))?;
        }
        let _ = fs::remove_file(self.folder.join("ready"));
        for hierarchy in hierarchies() {
            remove_group(&hierarchy.join(&self.group));
        }
        Ok(())
    }

    /// Switches it off and throws its disk away.
    ///
    /// # Errors
    /// Where something is still in use.
    pub fn remove(&self) -> Result<()> {
        self.halt()?;
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| self.folder.display().to_string())
            }
            _ => Ok(()),
        }
    }
}

fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Where control groups of version 2 are mounted.
fn unified() -> PathBuf {
    let root = Path::new("/sys/fs/cgroup");
    let hybrid = root.join("unified");
    if hybrid.join("cgroup.procs").exists() { hybrid } else { root.into() }
}

/// Where control groups are mounted: one place, or with version 1 a place for each controller.
#[must_use]
pub fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let below = fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path());
    below.filter(|path| path.join("cgroup.procs").exists()).chain([root.clone()]).collect()
}

/// Removes a group and those below; processes that are ending may hold one for a moment.
pub fn remove_group(path: &Path) {
    if !path.exists() {
        return;
    }
    for below in fs::read_dir(path).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        remove_group(&below.path());
    }
    for _ in 0..100 {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(Duration::from_millis(20)),
            _ => return,
        }
    }
}
