//! Whether kube-proxy translates Services on this node: its rules are there, in whichever of its modes.

use std::{fs, io};

use super::{legacy_tables, nftables};

/// The chain that all of its rules hang from, in the table `nat`.
const CHAIN: &str = "KUBE-SERVICES";
/// The device that has all Services' addresses in its IPVS mode.
const IPVS: &str = "kube-ipvs0";
/// The table of its nftables mode.
const TABLE: &str = "kube-proxy";

/// Whether it does, in the calling thread's network namespace.
///
/// # Errors
/// The kernel's, where its tables cannot be read.
pub fn is_there() -> io::Result<bool> {
    if nix::net::if_::if_nametoindex(IPVS).is_ok() {
        return Ok(true);
    }
    for family in nftables::FAMILIES {
        if nftables::has_table(family, TABLE)? || nftables::has_chain(family, "nat", CHAIN)? {
            return Ok(true);
        }
    }
    for (names, version) in [("ip", legacy_tables::Version::V4), ("ip6", legacy_tables::Version::V6)] {
        // Asking for a table would make it.
        let tables = fs::read_to_string(format!("/proc/net/{names}_tables_names")).unwrap_or_default();
        if tables.lines().any(|table| table == "nat") && legacy_tables::names(version, "nat", CHAIN)? {
            return Ok(true);
        }
    }
    Ok(false)
}
