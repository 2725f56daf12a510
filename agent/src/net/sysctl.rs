//! Sysctls of this network namespace, written only where they differ.

use std::{fs, io};

use super::NetError;

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

/// A device that accepts router advertisements (1) stops when it forwards, and the host loses its default route; 2 goes
/// on accepting.
fn keep_router_advertisements() -> Result<(), NetError> {
    let Ok(devices) = fs::read_dir("/proc/sys/net/ipv6/conf") else { return Ok(()) };
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
    set(&format!("net/ipv4/conf/{device}/rp_filter"), "0")?;
    // The larger of `all` and the device's own counts, so that a strict `all` still filters; loose lets ours through.
    if read("net/ipv4/conf/all/rp_filter").is_ok_and(|value| value.trim() == "1") {
        set(&format!("net/ipv4/conf/{device}/rp_filter"), "2")?;
    }
    set(&format!("net/ipv4/conf/{device}/forwarding"), "1")?;
    for (name, value) in [("disable_ipv6", "0"), ("accept_ra", "0"), ("accept_dad", "0"), ("forwarding", "1")] {
        set_where_present(&format!("net/ipv6/conf/{device}/{name}"), value)?;
    }
    Ok(())
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
    fs::write(format!("/proc/sys/{path}"), value).map_err(failed)
}

fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(format!("/proc/sys/{path}"))
}
