//! A port of the node leads to a pod: `portmap`, chained behind our plugin as administrators have it.

use std::net::IpAddr;

use crate::support::{lab::Lab, underlay};

#[test]
fn a_host_port_leads_from_outside_to_the_sandbox() {
    let lab = Lab::start();
    let sandbox = lab.n1.run_with_ports("web", &[(18080, 8080)]);
    let node_ips = underlay::internal_ips(1);
    for (node, outside) in node_ips.iter().zip(underlay::OUTSIDE) {
        let node: IpAddr = node.parse().unwrap();
        let seen = lab.underlay.space.seen_by(node, 18080).unwrap();
        assert_eq!(seen, outside.parse::<IpAddr>().unwrap(), "the client's own address reaches the pod");
    }
    lab.n1.stop(&sandbox);
    lab.n1.remove(&sandbox);
    lab.n1.is_clean();
}
