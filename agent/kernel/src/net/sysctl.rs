//! Sysctls of this network namespace, written only where they differ.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::NetError;

/// Where sysctls are read and written, once it is known: a container may see its own `/proc/sys` for reading only.
static ROOT: OnceLock<PathBuf> = OnceLock::new();

/// Says where they are, once for the process. What a file there shows is the network namespace of who opens it.
pub fn at(root: &Path) {
    let _ = ROOT.set(root.to_owned());
}

/// The file of a sysctl, named like `net/ipv4/ip_forward`. Those that are no network's are the same everywhere, and read where
/// they always are.
#[must_use]
pub fn file(path: &str) -> PathBuf {
    let root = ROOT.get().filter(|_| path.starts_with("net/"));
    root.map_or(Path::new("/proc/sys"), PathBuf::as_path).join(path)
}

/// Forwarding between devices, for both families where the kernel has them.
///
/// # Errors
/// Where a file cannot be written.
pub fn forwarding() -> Result<(), NetError> {
    set("net/ipv4/ip_forward", "1")?;
    if read("net/ipv6/conf/all/forwarding").is_ok_and(|value| value.trim() == "0") {
        keep_router_advertisements()?;
    }
    set_where_present("net/ipv6/conf/all/forwarding", "1")
}

/// A phrase for each family that is not forwarded.
#[must_use]
pub fn forwarding_differences() -> Vec<String> {
    let off = |path: &&'static str| read(path).is_ok_and(|value| value.trim() == "0");
    let paths = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"];
    paths.into_iter().filter(off).map(|path| format!("{} is 0 and not 1", path.replace('/', "."))).collect()
}

/// A device that accepts router advertisements (1) stops when it forwards, and the host loses its default route; 2 goes
/// on accepting.
fn keep_router_advertisements() -> Result<(), NetError> {
    let Ok(devices) = fs::read_dir(file("net/ipv6/conf")) else { return Ok(()) };
    for device in devices.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        let path = format!("net/ipv6/conf/{device}/accept_ra");
        if !["all", "default"].contains(&device.as_str()) && read(&path).is_ok_and(|value| value.trim() == "1") {
            set_where_present(&path, "2")?;
        }
    }
    Ok(())
}

/// A device whose packets the programs judge: no reverse path filter beside theirs, no router advertisements.
///
/// # Errors
/// Where a file cannot be written.
pub fn forwarded_device(device: &str) -> Result<(), NetError> {
    for (path, value) in of_forwarded_device(device) {
        set_where_present(&path, value)?;
    }
    Ok(())
}

/// A bridge whose pods take the node's pod CIDR for their link: the host answers ARP there for what it routes elsewhere, at
/// once.
///
/// # Errors
/// Where a file cannot be written.
pub fn answering_bridge(bridge: &str) -> Result<(), NetError> {
    set_where_present(&format!("net/ipv4/conf/{bridge}/proxy_arp"), "1")?;
    set_where_present(&format!("net/ipv4/neigh/{bridge}/proxy_delay"), "0")
}

/// A phrase for each setting of such a device that is another one.
#[must_use]
pub fn differences(device: &str) -> Vec<String> {
    let differs = |(path, wanted): (String, &'static str)| {
        let found = read(&path).ok()?.trim().to_owned();
        (found != wanted).then(|| format!("{} is {found} and not {wanted}", path.replace('/', ".")))
    };
    of_forwarded_device(device).into_iter().filter_map(differs).collect()
}

fn of_forwarded_device(device: &str) -> Vec<(String, &'static str)> {
    // The larger of `all` and the device's own counts, so that a strict `all` still filters; loose lets ours through.
    let strict = read("net/ipv4/conf/all/rp_filter").is_ok_and(|value| value.trim() == "1");
    let v4 = [("rp_filter", if strict { "2" } else { "0" }), ("forwarding", "1")];
    let v6 = [("disable_ipv6", "0"), ("accept_ra", "0"), ("accept_dad", "0"), ("forwarding", "1")];
    let v4 = v4.map(|(name, value)| (format!("net/ipv4/conf/{device}/{name}"), value));
    v4.into_iter().chain(v6.map(|(name, value)| (format!("net/ipv6/conf/{device}/{name}"), value))).collect()
}

fn set_where_present(path: &str, value: &'static str) -> Result<(), NetError> {
    match set(path, value) {
        Err(NetError::Sysctl { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn set(path: &str, value: &'static str) -> Result<(), NetError> {
    let failed = |source| NetError::Sysctl { path: path.replace('/', "."), value, source };
    if read(path).map_err(failed)?.trim() == value {
        return Ok(());
    }
    fs::write(file(path), value).map_err(failed)
}

fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(file(path))
}
