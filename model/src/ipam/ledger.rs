//! Who has which address: leases, resting addresses and the round robin's cursors.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{IpamError, Pools};
use crate::cidr::Family;

/// How long a released address rests before it is leased again, in milliseconds. Peers may still know it as the
/// former pod's; while no other address is free, a resting one is used all the same.
pub const REST_MS: u64 = 30_000;

/// How many addresses that are in use without a lease one search passes over before it gives up, so that a search
/// through an IPv6 pool ends.
const HELD_LIMIT: usize = 1 << 16;

/// Leased and resting addresses, and where each family's round robin stands. Times are milliseconds of one clock that
/// the caller chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    leased: BTreeSet<IpAddr>,
    resting: BTreeMap<IpAddr, u64>,
    cursor_v4: Option<IpAddr>,
    cursor_v6: Option<IpAddr>,
}

impl Ledger {
    /// Leases one address of each family for which there are pools, all or none: the requested ones where there are
    /// any, else the next free ones. `held` says whether something without a lease uses an address.
    ///
    /// # Errors
    /// Each variant of [`IpamError`] but those about CIDRs; the ledger is then as it was.
    pub fn lease(
        &mut self,
        pools: &Pools,
        requested: &[IpAddr],
        now_ms: u64,
        held: &dyn Fn(IpAddr) -> bool,
    ) -> Result<Vec<IpAddr>, IpamError> {
        for (index, &second) in requested.iter().enumerate() {
            let family = Family::of(second);
            if let Some(&first) = requested[..index].iter().find(|&&first| Family::of(first) == family) {
                return Err(IpamError::TwoOfFamily { family, first, second });
            }
            self.acceptable(pools, second, held)?;
        }
        let mut chosen = Vec::with_capacity(2);
        let mut cursors = (self.cursor_v4, self.cursor_v6);
        for family in Family::BOTH {
            if let Some(&address) = requested.iter().find(|&&address| Family::of(address) == family) {
                chosen.push(address);
            } else if !pools.of(family).is_empty() {
                let address = self.next(pools, family, now_ms, held)?;
                match family {
                    Family::V4 => cursors.0 = Some(address),
                    Family::V6 => cursors.1 = Some(address),
                }
                chosen.push(address);
            }
        }
        if chosen.is_empty() {
            return Err(IpamError::NoCidr);
        }
        (self.cursor_v4, self.cursor_v6) = cursors;
        self.enter(&chosen);
        Ok(chosen)
    }

    /// Enters addresses that were chosen elsewhere: by a delegated IPAM plugin, whose pools are its own.
    ///
    /// # Errors
    /// [`IpamError::Taken`] for an address that is leased; the ledger is then as it was.
    pub fn take(&mut self, addresses: &[IpAddr]) -> Result<(), IpamError> {
        let taken =
            |(index, address): (usize, &IpAddr)| self.leased.contains(address) || addresses[..index].contains(address);
        if let Some(at) = addresses.iter().enumerate().position(taken) {
            return Err(IpamError::Taken { address: addresses[at] });
        }
        self.enter(addresses);
        Ok(())
    }

    /// Gives leased addresses back; they rest from `now_ms` on. Others are ignored.
    pub fn release(&mut self, addresses: &[IpAddr], now_ms: u64) {
        for address in addresses {
            if self.leased.remove(address) {
                self.resting.insert(*address, now_ms);
            }
        }
    }

    /// Enters a resting address as a former run left it. One from the future (the clock was set back) rests from now.
    pub fn rest(&mut self, address: IpAddr, released_ms: u64, now_ms: u64) {
        if !self.leased.contains(&address) {
            self.resting.insert(address, released_ms.min(now_ms));
        }
    }

    /// Drops what has rested long enough, and returns it.
    pub fn wake(&mut self, now_ms: u64) -> Vec<IpAddr> {
        let rested: Vec<IpAddr> =
            self.resting().filter(|(_, since)| !rests(*since, now_ms)).map(|(ip, _)| ip).collect();
        for address in &rested {
            self.resting.remove(address);
        }
        rested
    }

    /// Sets where the round robin of an address' family stands, as a former run left it.
    pub fn resume(&mut self, cursor: IpAddr) {
        match Family::of(cursor) {
            Family::V4 => self.cursor_v4 = Some(cursor),
            Family::V6 => self.cursor_v6 = Some(cursor),
        }
    }

    /// The address that a family's round robin gave last.
    #[must_use]
    pub const fn cursor(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.cursor_v4,
            Family::V6 => self.cursor_v6,
        }
    }

    /// Whether an address is leased.
    #[must_use]
    pub fn is_leased(&self, address: IpAddr) -> bool {
        self.leased.contains(&address)
    }

    /// Every leased address.
    pub fn leased(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.leased.iter().copied()
    }

    /// Released addresses with the time of their release; some may have rested long enough.
    pub fn resting(&self) -> impl Iterator<Item = (IpAddr, u64)> + '_ {
        self.resting.iter().map(|(address, since)| (*address, *since))
    }

    fn enter(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            self.resting.remove(address);
            self.leased.insert(*address);
        }
    }

    /// Whether a requested address may be leased; that it rests is no hindrance to one who asks for it.
    fn acceptable(&self, pools: &Pools, address: IpAddr, held: &dyn Fn(IpAddr) -> bool) -> Result<(), IpamError> {
        let family = Family::of(address);
        if self.leased.contains(&address) {
            return Err(IpamError::Taken { address });
        }
        let Some(pool) = pools.of(family).iter().find(|pool| pool.cidr().contains(address)) else {
            let cidrs = Family::BOTH.into_iter().flat_map(|family| pools.cidrs(family)).collect();
            return Err(IpamError::Outside { address, cidrs });
        };
        if !pools.usable(address) {
            return Err(IpamError::Reserved { address, cidr: pool.cidr() });
        }
        if held(address) {
            return Err(IpamError::Held { address });
        }
        Ok(())
    }

    /// The next address of a family: the first free one after the cursor that does not rest, else the one that has
    /// rested longest.
    fn next(
        &self,
        pools: &Pools,
        family: Family,
        now_ms: u64,
        held: &dyn Fn(IpAddr) -> bool,
    ) -> Result<IpAddr, IpamError> {
        let mut held_seen = 0;
        for address in pools.ring(family, self.cursor(family)) {
            if self.leased.contains(&address) || self.resting.get(&address).is_some_and(|since| rests(*since, now_ms)) {
                continue;
            }
            if !held(address) {
                return Ok(address);
            }
            held_seen += 1;
            if held_seen >= HELD_LIMIT {
                break;
            }
        }
        let mut resting: Vec<(u64, IpAddr)> = self
            .resting()
            .filter(|(address, _)| Family::of(*address) == family && pools.usable(*address))
            .map(|(address, since)| (since, address))
            .collect();
        resting.sort_unstable();
        resting.into_iter().map(|(_, address)| address).find(|address| !held(*address)).ok_or_else(|| {
            IpamError::Exhausted {
                family,
                cidrs: pools.cidrs(family),
                leased: self
                    .leased
                    .iter()
                    .filter(|address| Family::of(**address) == family && pools.usable(**address))
                    .count(),
                size: pools.size(family),
                held: held_seen,
            }
        })
    }
}

/// Whether an address released at `since` still rests. A clock that was set back lets it rest on.
const fn rests(since: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(since) < REST_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(cidrs: &str) -> Pools {
        Pools::new(&cidrs.split_whitespace().map(|cidr| cidr.parse().unwrap()).collect::<Vec<_>>()).unwrap()
    }

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    /// Runs a script of `SECONDS lease [IP…]`, `SECONDS release IP…`, `SECONDS hold IP…`; each lease must give what
    /// follows its `=`.
    fn check(cidrs: &str, script: &str) {
        let pools = pools(cidrs);
        let (mut ledger, mut held) = (Ledger::default(), Vec::new());
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (command, expected) = line.split_once(" = ").unwrap_or((line, ""));
            let mut words = command.splitn(3, ' ');
            let now = words.next().unwrap().parse::<u64>().unwrap() * 1000;
            let (verb, arguments) = (words.next().unwrap(), ips(words.next().unwrap_or("")));
            let before = ledger.clone();
            match verb {
                "lease" => match ledger.lease(&pools, &arguments, now, &|ip| held.contains(&ip)) {
                    Ok(addresses) => assert_eq!(addresses, ips(expected), "{line}\n{ledger:#?}"),
                    Err(error) => {
                        assert!(error.to_string().contains(expected) && !expected.is_empty(), "{line}: {error}");
                        assert_eq!(ledger, before, "{line}: an error changes nothing");
                    }
                },
                "release" => ledger.release(&arguments, now),
                "hold" => held = arguments,
                _ => panic!("{line}"),
            }
        }
    }

    #[test]
    fn addresses_are_leased_round_robin() {
        check(
            "10.1.0.0/29",
            "0 lease = 10.1.0.2
             0 lease = 10.1.0.3
             0 release 10.1.0.2
             99 lease = 10.1.0.4
             99 lease = 10.1.0.5
             99 lease = 10.1.0.6
             99 lease = 10.1.0.2",
        );
    }

    #[test]
    fn each_family_gives_one_address() {
        check("fd00::/64 10.1.0.0/24 10.2.0.0/24", "0 lease = 10.1.0.2 fd00::2\n0 lease = 10.1.0.3 fd00::3");
    }

    #[test]
    fn a_released_address_rests_for_thirty_seconds() {
        check(
            "10.1.0.0/29",
            "0 lease = 10.1.0.2\n0 lease = 10.1.0.3\n0 lease = 10.1.0.4\n0 lease = 10.1.0.5
             0 release 10.1.0.2\n0 lease = 10.1.0.6\n29 release 10.1.0.3\n30 lease = 10.1.0.2",
        );
    }

    #[test]
    fn a_short_pool_takes_the_address_that_rested_longest() {
        check("10.1.0.0/29", "0 lease = 10.1.0.2\n0 lease = 10.1.0.3\n0 lease = 10.1.0.4\n0 lease = 10.1.0.5\n0 lease = 10.1.0.6
             1 release 10.1.0.4\n2 release 10.1.0.3\n3 lease = 10.1.0.4\n3 lease = 10.1.0.3\n3 lease = 5 of 5 addresses leased");
    }

    #[test]
    fn requested_addresses_are_honoured_also_while_they_rest() {
        check(
            "10.1.0.0/24 fd00::/64",
            "0 lease 10.1.0.77 = 10.1.0.77 fd00::2
             0 release 10.1.0.77\n1 lease fd00::99 10.1.0.77 = 10.1.0.77 fd00::99\n1 lease = 10.1.0.2 fd00::3",
        );
    }

    #[test]
    fn requested_addresses_must_be_free_and_usable() {
        check("10.1.0.0/24", "0 lease 10.1.0.0 = network, gateway or broadcast
             0 lease 10.1.0.1 = network, gateway or broadcast\n0 lease 10.1.0.255 = network, gateway or broadcast
             0 lease 10.2.0.7 = in none of this node's pod CIDRs (10.1.0.0/24)
             0 lease fd00::7 = in none of this node's pod CIDRs\n0 lease 10.1.0.7 10.1.0.8 = two IPv4 addresses
             0 lease 10.1.0.7 = 10.1.0.7\n0 lease 10.1.0.7 = leased to another\n0 hold 10.1.0.9\n0 lease 10.1.0.9 = without a lease");
    }

    #[test]
    fn one_exhausted_family_leases_nothing_of_the_other() {
        check("10.1.0.0/24 fd00::/126", "0 lease = 10.1.0.2 fd00::2\n0 lease = 10.1.0.3 fd00::3
             0 lease = IPv6 pod CIDRs fd00::/126 are used up: 2 of 2\n0 release fd00::2 10.1.0.2\n0 lease = 10.1.0.4 fd00::2");
    }

    #[test]
    fn addresses_held_without_a_lease_are_passed_over() {
        check(
            "10.1.0.0/29",
            "0 hold 10.1.0.2 10.1.0.4\n0 lease = 10.1.0.3\n0 lease = 10.1.0.5\n0 lease = 10.1.0.6
             0 lease = 3 of 5 addresses leased, 2 held without a lease",
        );
    }

    #[test]
    fn a_search_among_held_addresses_ends() {
        let pools = pools("fd00::/64");
        let error = Ledger::default().lease(&pools, &[], 0, &|_| true).unwrap_err();
        assert!(matches!(error, IpamError::Exhausted { held: HELD_LIMIT, .. }), "{error}");
    }

    #[test]
    fn a_delegated_address_is_taken_once() {
        let mut ledger = Ledger::default();
        ledger.take(&ips("192.0.2.7 2001:db8::7")).unwrap();
        assert_eq!(
            ledger.take(&ips("192.0.2.8 2001:db8::7")),
            Err(IpamError::Taken { address: ips("2001:db8::7")[0] })
        );
        assert!(!ledger.is_leased(ips("192.0.2.8")[0]));
        assert!(ledger.take(&ips("192.0.2.8 192.0.2.8")).is_err());
    }

    #[test]
    fn a_release_from_the_future_rests_from_now() {
        let mut ledger = Ledger::default();
        ledger.rest(ips("10.1.0.2")[0], 900_000, 1_000);
        assert!(ledger.wake(30_999).is_empty());
        assert_eq!(ledger.wake(31_000), ips("10.1.0.2"));
    }
}
