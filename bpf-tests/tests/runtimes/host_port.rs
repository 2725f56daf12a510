//! A port of the node leads to a pod: `portmap`, chained behind our plugin as administrators have it.
//!
//! Asked by hosts outside the cluster, by the pod's own node, and by the pod itself. Other pods and other nodes reach
//! pods through our programs, which the host's translation of addresses does not see; they are not tested here.

use std::net::IpAddr;

use crate::support::{lab::Lab, underlay};

#[test]
fn a_host_port_leads_to_the_sandbox_and_hides_no_client() {
    let lab = Lab::start();
    let sandbox = lab.n1.run_with_ports("web", &[(18080, 8080)]);
    let node_ips = underlay::internal_ips(1);
    for (node, outside) in node_ips.iter().zip(underlay::OUTSIDE) {
        let node: IpAddr = node.parse().unwrap();
        let seen = lab.underlay.space.seen_by(node, 18080).unwrap();
        assert_eq!(seen, outside.parse::<IpAddr>().unwrap(), "the client's own address reaches the pod");
        assert_eq!(lab.n1.machine.space.seen_by(node, 18080), Ok(node));
        // Its own address would make the pod answer itself: portmap takes the node's.
        assert_eq!(sandbox.space.seen_by(node, 18080), Ok(node));
    }
    lab.n1.stop(&sandbox);
    lab.n1.remove(&sandbox);
    lab.n1.is_clean();
}
