//! What nothing on the wire proves, as far as this node's settings show it: docs/security.md says what to do.

use std::{collections::BTreeSet, fs, io};

use ferrule_kernel::net::{
    firewall::{Dropping, Hook, dropping_chains},
    own::is_ours,
    sysctl,
};

use super::Check;
use crate::config::{Config, Routing};

pub(super) fn all(config: &Config) -> Vec<Check> {
    let mut checks = vec![ranges(config), sources(&loose_devices())];
    if config.routing != Routing::Native {
        checks.push(tunnel(config.vxlan_port, dropping_chains()));
    }
    if config.routing != Routing::Vxlan {
        checks.push(Check::otherwise(
            "pods' packets on the link",
            "as they are",
            "whoever shares the link with the nodes can send in pods' names: let nobody but nodes and routers be on it, or use \
             --routing vxlan behind a firewall",
        ));
    }
    checks
}

/// Whether objects' addresses can be held against something.
fn ranges(config: &Config) -> Check {
    const WHAT: &str = "ranges of addresses";
    let missing: Vec<&str> = [("cluster-cidrs", &config.cluster_cidrs), ("node-cidrs", &config.node_cidrs)]
        .into_iter()
        .filter_map(|(name, cidrs)| cidrs.is_empty().then_some(name))
        .collect();
    if missing.is_empty() {
        return Check::ok(WHAT, "given", "addresses of Node and Pod objects outside of them are refused");
    }
    let means = "a Node object with a wrong address or pod CIDR is believed where it contradicts no other: give them";
    Check::otherwise(WHAT, format!("no {}", missing.join(", no ")), means)
}

/// Whether something keeps the tunnel's port from everybody. Rules are not read: one that drops all but nodes' packets in a chain
/// that accepts the rest is not seen.
fn tunnel(port: u16, chains: io::Result<Vec<Dropping>>) -> Check {
    const WHAT: &str = "the tunnel's port";
    let found = match chains {
        Err(error) => return Check::otherwise(WHAT, error.to_string(), "the host's firewall cannot be read"),
        Ok(chains) => chains.into_iter().find(|chain| chain.hook == Hook::Input),
    };
    match found {
        Some(Dropping { family, table, chain, .. }) => Check::ok(
            WHAT,
            format!("{family} {table} {chain} drops"),
            format!("what no rule accepts: let it accept UDP {port} from other nodes, and from nobody else"),
        ),
        None => Check::otherwise(
            WHAT,
            "nothing drops by default",
            format!(
                "whoever can forge a node's address and reaches UDP {port} sends in its pods' names: let a firewall accept it from \
                 other nodes alone"
            ),
        ),
    }
}

/// Whether the kernel drops what comes from outside with a source that leads elsewhere.
fn sources(loose: &BTreeSet<String>) -> Check {
    const WHAT: &str = "forged sources";
    if loose.is_empty() {
        return Check::ok(WHAT, "refused", "the reverse path of IPv4 is strict on every device that others reach");
    }
    let names: Vec<&str> = loose.iter().map(String::as_str).collect();
    Check::otherwise(
        WHAT,
        format!("rp_filter is not 1 on {}", names.join(", ")),
        "another host's packets with a node's address are not told from the node's: net.ipv4.conf.DEVICE.rp_filter=1 where answers \
         leave by the device that questions come by",
    )
}

/// Devices of this namespace, but loopback and our own, whose reverse path filter is not strict. The larger of the device's
/// and of all's counts (Documentation/networking/ip-sysctl.rst).
fn loose_devices() -> BTreeSet<String> {
    let value = |device: &str| -> u8 {
        let text = fs::read_to_string(sysctl::file(&format!("net/ipv4/conf/{device}/rp_filter")));
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
    };
    let all = value("all");
    let devices = fs::read_dir(sysctl::file("net/ipv4/conf")).into_iter().flatten().flatten();
    let names = devices.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| !["all", "default", "lo"].contains(&name.as_str()) && !is_ours(name))
        .filter(|name| value(name).max(all) != 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::Verdict, *};
    use crate::config::Options;

    fn config(toml: &str) -> Config {
        toml::from_str::<Options>(&format!("node-name = 'n1'\n{toml}")).unwrap().check().unwrap()
    }

    fn found<'a>(checks: &'a [Check], what: &str) -> Option<&'a Check> {
        checks.iter().find(|check| check.what == what)
    }

    #[test]
    fn each_way_of_routing_is_told_what_it_rests_on() {
        let (link, port) = ("pods' packets on the link", "the tunnel's port");
        for (routing, has_link, has_port) in [("native", true, false), ("auto", true, true), ("vxlan", false, true)] {
            let checks = all(&config(&format!("routing = '{routing}'")));
            assert_eq!(found(&checks, link).is_some(), has_link, "{routing}");
            assert_eq!(found(&checks, port).is_some(), has_port, "{routing}");
        }
    }

    #[test]
    fn ranges_that_are_missing_are_named() {
        let check = ranges(&config("cluster-cidrs = ['10.0.0.0/8']"));
        assert_eq!((check.verdict, check.found.as_str()), (Verdict::Otherwise, "no node-cidrs"));
        let check = ranges(&config("cluster-cidrs = ['10.0.0.0/8']\nnode-cidrs = ['192.0.2.0/24']"));
        assert_eq!(check.verdict, Verdict::Ok);
    }

    #[test]
    fn a_chain_that_drops_what_comes_in_is_told_from_others() {
        let chain = |hook| Dropping { family: "inet", table: "filter".into(), chain: "INPUT".into(), hook };
        assert_eq!(tunnel(8472, Ok(vec![chain(Hook::Input)])).verdict, Verdict::Ok);
        for chains in [vec![], vec![chain(Hook::Forward), chain(Hook::Output)]] {
            let check = tunnel(4789, Ok(chains));
            assert_eq!(check.verdict, Verdict::Otherwise);
            assert!(check.means.contains("UDP 4789"), "{check:?}");
        }
        assert_eq!(tunnel(8472, Err(io::ErrorKind::PermissionDenied.into())).verdict, Verdict::Otherwise);
    }

    #[test]
    fn devices_without_a_strict_reverse_path_are_named() {
        assert_eq!(sources(&BTreeSet::new()).verdict, Verdict::Ok);
        let check = sources(&BTreeSet::from(["eth0".to_owned(), "eth1".to_owned()]));
        assert_eq!((check.verdict, check.found.as_str()), (Verdict::Otherwise, "rp_filter is not 1 on eth0, eth1"));
    }
}
