//! The network namespaces of this machine, as far as they can be seen from here: those that are mounted somewhere (runtimes'
//! and `ip netns`), and those of processes. Each once.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

/// As many are listed at most.
pub const MOST: usize = 4096;

/// Ways to the network namespaces that are not among `known`, which are paths of such; nor the calling thread's own. At most
/// [`MOST`]. What may not be looked at, or goes meanwhile, is left out: a process of another user needs `CAP_SYS_PTRACE`.
#[must_use]
pub fn others<'a>(known: impl IntoIterator<Item = &'a str>) -> Vec<PathBuf> {
    let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mounted = mounts.split(|byte| *byte == b'\n').filter_map(mounted);
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let mut seen: HashSet<u64> = known.into_iter().filter_map(|path| inode(Path::new(path))).collect();
    seen.extend(inode(Path::new("/proc/thread-self/ns/net")));
    let all = mounted.chain(processes.map(|entry| entry.path().join("ns/net")));
    let others = all.filter(|path| inode(path).is_some_and(|inode| seen.insert(inode)));
    others.take(MOST).collect()
}

/// A namespace's number; all of them are of one file system.
fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}

/// Where a line of mountinfo (proc_pid_mountinfo(5)) has a network namespace.
fn mounted(line: &[u8]) -> Option<PathBuf> {
    let mut words = line.split(|byte| *byte == b' ');
    let root = words.nth(3)?;
    let place = words.next()?;
    let kind = words.skip_while(|word| *word != b"-").nth(1)?;
    (kind == b"nsfs" && root.starts_with(b"net:")).then(|| PathBuf::from(OsString::from_vec(unescaped(place))))
}

/// Blanks and their like stand as `\040`.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::new(), word);
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| *first == b'\\').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &after[3..];
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_namespaces_are_told_from_other_mounts() {
        let of = |line: &str| mounted(line.as_bytes()).map(|path| path.display().to_string());
        assert_eq!(
            of("700 30 0:4 net:[4026532281] /run/netns/cni-1 rw shared:353 - nsfs nsfs rw"),
            Some("/run/netns/cni-1".into())
        );
        assert_eq!(of(r"700 30 0:4 net:[4026532281] /run/a\040b\134c rw - nsfs nsfs rw"), Some(r"/run/a b\c".into()));
        assert_eq!(of("700 30 0:4 mnt:[4026532281] /run/m rw - nsfs nsfs rw"), None);
        assert_eq!(of("22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"), None);
        assert_eq!(of("22 1 8:1 net: / rw"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn each_is_there_once_and_neither_the_own_nor_a_known_one_is() {
        let mut child = std::process::Command::new("unshare").args(["--net", "sleep", "60"]).spawn().unwrap();
        let path = PathBuf::from(format!("/proc/{}/ns/net", child.id()));
        let own = inode(Path::new("/proc/thread-self/ns/net"));
        let patience = std::time::Instant::now();
        while inode(&path) == own && patience.elapsed().as_secs() < 10 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let (wanted, known) = (inode(&path), path.display().to_string());
        let (all, without) = (others([]), others([known.as_str()]));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(wanted.is_some() && wanted != own);
        assert_eq!(all.iter().filter(|one| **one == path).count(), 1, "{all:?}");
        assert!(!all.iter().any(|one| one.ends_with("self/ns/net") || inode(one).is_some() && inode(one) == own));
        assert!(!without.contains(&path));
    }
}
