//! What the runtime learns of a pod's addresses.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::support::lab::Lab;

#[test]
fn a_sandbox_has_an_address_of_each_family_and_ipv4_comes_first() {
    let lab = Lab::start();
    for (node, v4, v6) in [(&lab.n1, "10.244.1.0/24", "fd00:244:1::/64"), (&lab.n2, "10.244.2.0/24", "fd00:244:2::/64")]
    {
        let sandbox = node.run("web");
        let cidrs: Vec<IpNetwork> = [v4, v6].map(|cidr| cidr.parse().unwrap()).into();
        let of_its_cidr = |(cidr, ip): (&IpNetwork, &IpAddr)| cidr.contains(*ip);
        assert!(
            sandbox.addresses.len() == 2 && cidrs.iter().zip(&sandbox.addresses).all(of_its_cidr),
            "{:?} instead of one of each of {cidrs:?}",
            sandbox.addresses
        );
        let endpoints = node.ferrule("endpoint list");
        assert_eq!(endpoints[0]["pod"], "default/web", "{endpoints}");
        assert_eq!(endpoints[0]["containerId"], sandbox.id, "{endpoints}");
        let inside = sandbox.space.tool("ip -o addr show dev eth0");
        for address in &sandbox.addresses {
            assert!(inside.contains(&format!(" {address}/")), "{address} is not in the pod:\n{inside}");
        }
    }
}
