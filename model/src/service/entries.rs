//! Room for frontends and addresses, which share a map: who gets it where it is not enough for all.
//!
//! An address has it before ports: one that is known and has no port is refused, which neither opens nor leaks anything,
//! while one that is not known is taken for somebody outside. Of a Service's new ports all have it or none.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::engine::Engine;
use super::{Frontend, Reason};
use crate::objects::ObjectName;

/// The map of both.
const MAP: &str = "fr_services";

impl Engine {
    /// Whether the map has an entry for a frontend.
    pub(super) fn is_known(&self, frontend: &Frontend) -> bool {
        self.live.contains_key(frontend) || self.strays.contains(frontend)
    }

    /// Whether some Service waits for an entry.
    pub(super) fn lacks_frontends(&self) -> bool {
        self.unfit.values().any(|reason| matches!(reason, Reason::Full { map, .. } if *map == MAP))
    }

    /// How many entries are free.
    fn free(&self) -> usize {
        let taken = self.live.len() + self.strays.len() + self.addresses.len();
        self.limits.frontends.saturating_sub(taken)
    }

    /// Takes in those of the addresses that somebody has, the map has not, and there is room for: they are refused for
    /// other ports as long as a Service has them.
    pub(super) fn take_addresses(&mut self, touched: &BTreeSet<IpAddr>) -> Vec<IpAddr> {
        let mut come = Vec::new();
        for address in touched {
            let Some(owner) = self.service_at(address).cloned() else { continue };
            if self.addresses.contains(address) {
                continue;
            }
            if self.free() == 0 {
                self.does_not_fit(&owner);
                continue;
            }
            self.addresses.insert(*address);
            come.push(*address);
        }
        come
    }

    /// Those of the Services whose new ports do not all have room.
    pub(super) fn crowded(&mut self, services: &BTreeSet<ObjectName>) -> BTreeSet<ObjectName> {
        let mut free = self.free();
        let mut crowded = BTreeSet::new();
        for name in services {
            let ports = self.owned.get(name).into_iter().flatten();
            let new = ports.filter(|frontend| !self.is_known(frontend)).count();
            if let Some(rest) = free.checked_sub(new) {
                free = rest;
            } else {
                self.does_not_fit(name);
                crowded.insert(name.clone());
            }
        }
        crowded
    }

    fn does_not_fit(&mut self, service: &ObjectName) {
        let reason = Reason::Full { map: MAP, capacity: self.limits.frontends };
        self.unfit.insert(service.clone(), reason);
    }
}
