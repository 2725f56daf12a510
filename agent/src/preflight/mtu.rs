//! Whether the node's devices leave pods enough, as far as it shows before the Node object is read.

use std::{
    fs,
    net::IpAddr,
    os::{fd::AsRawFd, unix::net::UnixDatagram},
};

use ferrule_model::desired::{LEAST_V4, LEAST_V6, Overhead};
use ipnetwork::IpNetwork;

use super::Check;
use crate::config::{Config, Routing};

const WHAT: &str = "pods' MTU";

pub(super) fn check(config: &Config) -> Check {
    let devices = if config.devices.is_empty() { default_devices() } else { config.devices.clone() };
    let known = devices.into_iter().filter_map(|name| Some((mtu_of(&name)?, name)));
    let narrowest = known.min();
    let Some((mtu, found)) = config.mtu.map(|mtu| (mtu, format!("{mtu}, as configured"))).or_else(|| {
        let (device, name) = narrowest?;
        let mtu = left(config.routing, device);
        Some((mtu, format!("{mtu}, of {name}'s {device}")))
    }) else {
        return Check::ok(WHAT, "unknown", "no default route names a device: the ways to other nodes decide");
    };
    judge(mtu, found, &config.cluster_cidrs)
}

/// Over IPv6 the tunnel takes twenty bytes more; which family it takes only the Node objects tell.
fn left(routing: Routing, device: u32) -> u32 {
    if routing == Routing::Native { device } else { device.saturating_sub(Overhead::default().v4) }
}

fn judge(mtu: u32, found: String, cluster_cidrs: &[IpNetwork]) -> Check {
    let v4_alone = !cluster_cidrs.is_empty() && cluster_cidrs.iter().all(IpNetwork::is_ipv4);
    if mtu < LEAST_V4 {
        let means = format!("no pod can be added: IPv4 needs {LEAST_V4}; raise the device's MTU by {}", LEAST_V4 - mtu);
        return Check::otherwise(WHAT, found, means);
    }
    if mtu < LEAST_V6 && !v4_alone {
        let means = format!(
            "no pod can be added where the node has an IPv6 pod CIDR: IPv6 needs {LEAST_V6}; raise the device's MTU by {}",
            LEAST_V6 - mtu
        );
        return Check::otherwise(WHAT, found, means);
    }
    Check::ok(WHAT, found, "enough for the pods' families; a narrower way to another node lowers it")
}

/// Of a device in this network namespace (netdevice(7)); `/sys` may be another's.
fn mtu_of(device: &str) -> Option<u32> {
    let socket = UnixDatagram::unbound().ok()?;
    // SAFETY: all-zero is a value of this struct of integers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last octet stays zero.
    if device.len() >= request.ifr_name.len() {
        return None;
    }
    request.ifr_name.iter_mut().zip(device.bytes()).for_each(|(octet, byte)| *octet = byte.cast_signed());
    // SAFETY: `request` outlives the call, which writes no more than it.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, &raw mut request) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded and wrote this field.
    u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).ok()
}

/// Those of the default routes of IPv4, and of IPv6 where that has none.
fn default_devices() -> Vec<String> {
    let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let found = of_v4(&v4);
    if found.is_empty() { of_v6(&v6) } else { found }
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, below a heading.
fn of_v4(text: &str) -> Vec<String> {
    let rows = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(1) == Some(&"00000000") && row.get(7) == Some(&"00000000"))
        .filter_map(|row| Some((*row.first()?).to_owned()))
        .collect()
}

/// `destination length source length gateway metric refs use flags device`; the loopback device has a route that rejects all.
fn of_v6(text: &str) -> Vec<String> {
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(1) == Some(&"00") && row.first().is_some_and(|to| to.bytes().all(|byte| byte == b'0')))
        .filter_map(|row| row.get(9).map(|name| (*name).to_owned()))
        .filter(|name| name != "lo" && name.parse::<IpAddr>().is_err())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::Verdict, *};

    #[test]
    fn default_routes_name_their_devices() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                  tailscale0\t00000000\t01001EAC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                  eth0\t00001EAC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(of_v4(v4), ["tailscale0"]);
        let zero = "0".repeat(32);
        let v6 = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n\
             fd000030000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001     eth1\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n"
        );
        assert_eq!(of_v6(&v6), ["eth0"]);
    }

    #[test]
    fn a_device_says_its_mtu() {
        assert_eq!(mtu_of("lo"), Some(65536));
        assert_eq!((mtu_of("no-such-device"), mtu_of("a-name-longer-than-any")), (None, None));
    }

    #[track_caller]
    fn verdict(mtu: u32, cidrs: &[&str], expected: Verdict) {
        let cidrs: Vec<IpNetwork> = cidrs.iter().map(|one| one.parse().unwrap()).collect();
        assert_eq!(judge(mtu, String::new(), &cidrs).verdict, expected, "{mtu} {cidrs:?}");
    }

    #[test]
    fn what_is_too_narrow_depends_on_the_families() {
        verdict(1280, &[], Verdict::Ok);
        verdict(1279, &[], Verdict::Otherwise);
        verdict(1279, &["10.0.0.0/8", "fd00::/32"], Verdict::Otherwise);
        verdict(1279, &["10.0.0.0/8"], Verdict::Ok);
        verdict(575, &["10.0.0.0/8"], Verdict::Otherwise);
        assert_eq!((left(Routing::Native, 1280), left(Routing::Vxlan, 1280)), (1280, 1230));
    }
}
