//! A pod's addresses as the agent of its node announces them, in an annotation of the Pod object, until its kubelet posts
//! `status.podIPs`: that takes a second or two, in which other nodes would deny the pod's first connections.

use std::net::IpAddr;

/// The annotation: the pod's uid, a slash, and its addresses, separated by commas. A copy of the object, such as a backup
/// restored, is another pod, whose addresses they are not.
pub const ANNOTATION: &str = "ferrule.dev/pod-ips";
/// More than a pod can have.
const MOST: usize = 8;

/// The annotation's value.
#[must_use]
pub fn format(uid: &str, addresses: &[IpAddr]) -> String {
    format!("{uid}/{}", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// The addresses that are announced of the pod with this uid; none at all where one of them is not what a pod can have. An
/// annotation is no reason to refuse its object.
#[must_use]
pub fn parse(value: &str, uid: &str) -> Vec<IpAddr> {
    let Some((_, addresses)) = value.split_once('/').filter(|(of, _)| *of == uid && !uid.is_empty()) else {
        return Vec::new();
    };
    let usable = |ip: &IpAddr| {
        let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        !(mapped || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast())
    };
    let addresses: Option<Vec<IpAddr>> =
        addresses.split(',').take(MOST).map(|text| text.trim().parse().ok().filter(usable)).collect();
    addresses.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &str) {
        assert_eq!(format("u1", &parse(value, "u1")), format!("u1/{expected}"), "{value:?}");
    }

    #[test]
    fn what_is_written_is_read() {
        check("u1/10.1.0.5,fd00::5", "10.1.0.5,fd00::5");
        check("u1/10.1.0.5, fd00::5", "10.1.0.5,fd00::5");
    }

    #[test]
    fn a_value_with_anything_else_counts_for_nothing() {
        for value in ["", "web", "10.1.0.5,", "10.1.0.5,127.0.0.1", "::ffff:10.1.0.5", "224.0.0.1", "0.0.0.0"] {
            check(&format!("u1/{value}"), "");
        }
    }

    #[test]
    fn what_was_announced_of_another_pod_counts_for_nothing() {
        check("u2/10.1.0.5", "");
        check("10.1.0.5", "");
        assert!(parse("/10.1.0.5", "").is_empty());
    }
}
