//! The machine itself: file systems, modules, loopback, power.

use std::{
    ffi::CString,
    fs::{self, File},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};
use nix::{
    kmod::{ModuleInitFlags, finit_module},
    mount::MsFlags,
    sys::reboot::{RebootMode, reboot},
};

/// Kind, where, and options of every file system that tests look at.
const MOUNTS: [(&str, &str, &str); 7] = [
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", ""),
    ("tmpfs", "/run", "mode=755"),
    ("tmpfs", "/tmp", "mode=1777"),
    ("bpf", "/sys/fs/bpf", "mode=700"),
    ("cgroup2", "/sys/fs/cgroup", ""),
];

/// Mounts them.
pub fn mount() -> Result<()> {
    for (kind, path, options) in MOUNTS {
        fs::create_dir_all(path).with_context(|| path.to_owned())?;
        nix::mount::mount(Some(kind), path, Some(kind), MsFlags::empty(), Some(options))
            .with_context(|| format!("{path} ({kind})"))?;
    }
    Ok(())
}

/// Loads every module in the order of the files' names.
pub fn load_modules() -> Result<()> {
    let mut files: Vec<_> = fs::read_dir("/modules")?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files {
        load(&file).with_context(|| format!("module {}", file.display()))?;
    }
    Ok(())
}

fn load(path: &Path) -> Result<()> {
    Ok(finit_module(&File::open(path)?, &CString::default(), ModuleInitFlags::empty())?)
}

/// What a booted machine has and a bare kernel has not: a name, and a loopback that is up where there are tools to say so.
pub fn up() -> Result<()> {
    nix::unistd::sethostname("guest")?;
    if Path::new("/usr/bin/ip").exists() {
        test_kit::topology::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    }
    Ok(())
}

/// Ends the machine.
pub fn power_off() -> ! {
    nix::unistd::sync();
    let error = reboot(RebootMode::RB_POWER_OFF);
    panic!("the machine could not be powered off: {error:?}")
}
