//! What of the configuration the programs go by.

use ferrule_common::settings;
use ferrule_kernel::bpf;
use ipnetwork::IpNetwork;

use super::{Attach, Config, OwnNodeEgress};

impl Config {
    /// For the programs' globals.
    #[must_use]
    pub fn datapath(&self) -> bpf::Settings {
        bpf::Settings {
            vxlan_port: self.vxlan_port,
            own_node_policed: self.own_node_egress == OwnNodeEgress::Policed,
            services: self.services.on,
            mark: self.mark,
            tunnel_floor: tunnel_floor(&self.cluster_cidrs),
            timeouts: self.flows.timeouts,
            flow_share: self.flows.share(),
            flow_entries: self.flows.entries,
            events_per_second: self.events_per_second,
        }
    }
}

impl From<Attach> for bpf::Attach {
    fn from(attach: Attach) -> Self {
        match attach {
            Attach::Tcx => Self::Tcx,
            Attach::Clsact => Self::Clsact,
        }
    }
}

/// How small a packet between two nodes may be claimed to have to be: as long as nobody says otherwise, pods have IPv6.
fn tunnel_floor(cluster_cidrs: &[IpNetwork]) -> u32 {
    let v4_alone = !cluster_cidrs.is_empty() && cluster_cidrs.iter().all(IpNetwork::is_ipv4);
    if v4_alone { settings::FLOOR_V4 } else { settings::FLOOR_V6 }
}
