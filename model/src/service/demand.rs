//! What a Service asks of the maps, counted before anything is read of it: the same on every node, and linear in the
//! objects' size, however many ports and endpoints they multiply to.

use std::collections::HashMap;

use super::room::Amounts;
use crate::{
    cidr::Family,
    objects::{EndpointSlice, Protocol, Service},
};

/// Entries that a Service may need, whichever of its endpoints a node chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Demand {
    /// Of `fr_services` for its addresses, beside its ports.
    pub addresses: usize,
    /// For its ports and their backends.
    pub ports: Amounts,
    /// Backends of the port that has the most.
    pub most: usize,
}

impl Demand {
    /// Of a Service with these slices.
    pub fn of<'a>(service: &Service, slices: impl Iterator<Item = &'a EndpointSlice>) -> Self {
        let mut endpoints: HashMap<(&str, Protocol), [usize; 2]> = HashMap::new();
        for slice in slices {
            let v4 = slice.endpoints.iter().filter(|one| one.address.is_ipv4()).count();
            let counts = [v4, slice.endpoints.len() - v4];
            for port in &slice.ports {
                let all = endpoints.entry((&port.name, port.protocol)).or_default();
                *all = std::array::from_fn(|family| all[family].saturating_add(counts[family]));
            }
        }
        let mut demand = Self { addresses: service.cluster_ips.len(), ..Self::default() };
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Sctp) {
            let [v4, v6] = endpoints.get(&(&*port.name, port.protocol)).copied().unwrap_or_default();
            let has_members = service.affinity.is_some() || port.protocol == Protocol::Udp;
            for address in &service.cluster_ips {
                let backends = if Family::of(*address) == Family::V4 { v4 } else { v6 };
                let members = if has_members { backends } else { 0 };
                demand.ports = demand.ports.plus(Amounts([1, backends, members]));
                demand.most = demand.most.max(backends);
            }
        }
        demand
    }
}
