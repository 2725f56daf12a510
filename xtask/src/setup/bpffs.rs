//! The BPF file system, where maps and links are pinned.

use anyhow::Result;
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::{privilege, step::step};

/// Where distributions mount it.
const PATH: &str = "/sys/fs/bpf";

/// Mounts it where it is not mounted.
///
/// # Errors
/// Where the kernel has none, or root cannot be had.
pub fn ensure() -> Result<()> {
    if statfs(PATH).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC) {
        return Ok(());
    }
    println!("{PATH}: eBPF maps and links are pinned there");
    let mut mount = privilege::root("mount the BPF file system")?.command("mount");
    step(&format!("mount -t bpf bpf {PATH}"), mount.args(["-t", "bpf", "bpf", PATH]))
}
