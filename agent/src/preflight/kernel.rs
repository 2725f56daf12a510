//! The kernel: its release, architecture and type information.

use std::path::Path;

use super::Check;

/// The oldest that has `bpf_redirect_peer` and `bpf_redirect_neigh`.
const OLDEST: (u32, u32) = (5, 10);

/// The kernel's release, as `uname -r` prints it.
pub(super) fn text() -> String {
    nix::sys::utsname::uname().map_or_else(|_| "unknown".into(), |names| names.release().to_string_lossy().into_owned())
}

/// Major and minor version of a release such as `6.1.0-50-cloud-amd64`.
pub(super) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

pub(super) fn release() -> Check {
    let text = text();
    match version(&text) {
        Some(found) if found < OLDEST => Check::fails("kernel", text, "too old; boot Linux 5.10 or newer"),
        Some(_) => Check::ok("kernel", text, "5.10 or newer"),
        None => Check::otherwise("kernel", text, "a version that cannot be read; the checks below decide"),
    }
}

pub(super) fn architecture() -> Check {
    let arch = std::env::consts::ARCH;
    if cfg!(target_endian = "big") {
        Check::fails("architecture", arch, "the programs are built for little-endian machines; use one")
    } else if ["x86_64", "aarch64"].contains(&arch) {
        Check::ok("architecture", arch, "tested")
    } else {
        Check::otherwise("architecture", arch, "not tested; x86_64 and aarch64 are")
    }
}

pub(super) fn btf() -> Check {
    const PATH: &str = "/sys/kernel/btf/vmlinux";
    if Path::new(PATH).exists() {
        Check::ok("kernel BTF", PATH, "maps read like tables in bpftool")
    } else {
        Check::otherwise(
            "kernel BTF",
            "none",
            "programs load without it; bpftool may show maps as bytes (CONFIG_DEBUG_INFO_BTF)",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_tells_its_version() {
        assert_eq!(version("5.10.0-32-cloud-amd64"), Some((5, 10)));
        assert_eq!(version("7.2.13+deb14-cloud-amd64"), Some((7, 2)));
        assert_eq!(version("6.6-rc1"), Some((6, 6)));
        assert_eq!(version("unknown"), None);
        assert!(version("5.4.0").is_some_and(|found| found < OLDEST));
    }
}
