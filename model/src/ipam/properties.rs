//! Random leases, releases and requests against a plain account of who has what.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnetwork::IpNetwork;
use proptest::prelude::*;

use super::{IpamError, Ledger, Pools, REST_MS};
use crate::cidr::{self, Family};

#[derive(Debug, Clone)]
enum Action {
    Lease,
    Request(u8),
    Release(usize),
    Wait(u64),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        5 => Just(Action::Lease),
        2 => any::<u8>().prop_map(Action::Request),
        4 => any::<usize>().prop_map(Action::Release),
        2 => (0..2 * REST_MS).prop_map(Action::Wait),
    ]
}

/// Small pools, so that they run out: some of each family.
fn cidrs() -> impl Strategy<Value = Vec<IpNetwork>> {
    let all = ["10.1.0.0/29", "10.1.1.0/30", "10.1.2.0/28", "fd00::/126", "fd00::100/125", "fd00:1::/64"];
    proptest::sample::subsequence(all.to_vec(), 1..=all.len())
        .prop_map(|list| list.into_iter().map(|cidr| cidr.parse().unwrap()).collect())
}

/// Addresses that are never leased, computed another way than the pools do.
fn reserved(cidr: IpNetwork, address: IpAddr) -> bool {
    address == cidr.network() || Some(address) == cidr::gateway(cidr) || (cidr.is_ipv4() && address == cidr.broadcast())
}

proptest! {
    #[test]
    fn leases_are_unique_in_range_rested_and_exact(cidrs in cidrs(), actions in prop::collection::vec(action(), 1..120)) {
        let pools = Pools::new(&cidrs).unwrap();
        let families: Vec<Family> = Family::BOTH.into_iter().filter(|family| !pools.of(*family).is_empty()).collect();
        let mut ledger = Ledger::default();
        let mut leases: Vec<Vec<IpAddr>> = Vec::new();
        let mut released: BTreeMap<IpAddr, u64> = BTreeMap::new();
        let mut now = 1_000_000;
        for action in actions {
            let in_use: BTreeSet<IpAddr> = leases.iter().flatten().copied().collect();
            let free = |family: Family| pools.size(family) - in_use.iter().filter(|ip| Family::of(**ip) == family).count() as u128;
            let requested: Vec<IpAddr> = match action {
                Action::Request(low) => vec![cidr::address(Family::of_net(cidrs[0]), cidr::number(cidrs[0].network()) + u128::from(low % 16))],
                _ => vec![],
            };
            match action {
                Action::Wait(ms) => now += ms,
                Action::Release(which) if !leases.is_empty() => {
                    let lease = leases.swap_remove(which % leases.len());
                    ledger.release(&lease, now);
                    released.extend(lease.into_iter().map(|ip| (ip, now)));
                }
                Action::Release(_) => {}
                Action::Lease | Action::Request(_) => match ledger.lease(&pools, &requested, now, &|_| false) {
                    Ok(lease) => {
                        prop_assert_eq!(lease.iter().map(|ip| Family::of(*ip)).collect::<Vec<_>>(), families.clone());
                        for ip in &lease {
                            prop_assert!(!in_use.contains(ip), "{} is leased twice", ip);
                            let cidr = cidrs.iter().find(|cidr| cidr.contains(*ip));
                            prop_assert!(cidr.is_some_and(|cidr| !reserved(*cidr, *ip)), "{} is not for pods", ip);
                            let rests = |ip: &IpAddr| released.get(ip).is_some_and(|since| now - since < REST_MS);
                            if rests(ip) && !requested.contains(ip) {
                                let family = Family::of(*ip);
                                let resting = released.keys().filter(|ip| Family::of(**ip) == family && rests(ip)).count() as u128;
                                prop_assert_eq!(free(family), resting, "{} rests and others are free", ip);
                            }
                        }
                        for ip in &lease {
                            released.remove(ip);
                        }
                        leases.push(lease);
                    }
                    Err(IpamError::Exhausted { family, leased, size, .. }) => {
                        prop_assert_eq!(free(family), 0, "{} is not used up", family);
                        prop_assert_eq!(leased as u128, size);
                    }
                    Err(error) => prop_assert!(!requested.is_empty(), "{}", error),
                },
            }
            prop_assert_eq!(ledger.leased().collect::<BTreeSet<_>>(), leases.iter().flatten().copied().collect());
        }
    }
}
