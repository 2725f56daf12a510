//! Who may be connected: so many at once, and of one client no more than its share. Where one has more, its oldest goes; where
//! all together have more, the oldest of the client with the most. So whoever opens many closes its own alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

/// Who connects: what one party can choose freely counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::api) enum Client {
    /// This machine, whichever of its loopback addresses.
    Loopback,
    /// An IPv4 address, or the /64 of an IPv6 one.
    Address(IpAddr),
    /// Processes of this machine that may open the socket's file.
    File,
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        match address {
            _ if address.is_loopback() => Self::Loopback,
            IpAddr::V4(_) => Self::Address(address),
            IpAddr::V6(v6) => Self::Address(Ipv6Addr::from(u128::from(v6) >> 64 << 64).into()),
        }
    }
}

/// Connections by their numbers, which grow with time.
#[derive(Debug)]
pub(super) struct Gate {
    all: usize,
    of_one: usize,
    next: u64,
    clients: BTreeMap<Client, BTreeSet<u64>>,
    open: BTreeMap<u64, Client>,
}

impl Gate {
    pub(super) fn new(all: usize, of_one: usize) -> Self {
        Self { all, of_one, next: 0, clients: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// Whether as many are connected as may be.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= self.all
    }

    /// Lets one in: its number, and that of the one which has to go for it.
    pub(super) fn enter(&mut self, client: Client) -> (u64, Option<u64>) {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, client);
        let own = self.clients.entry(client).or_default();
        own.insert(number);
        let oldest = if own.len() > self.of_one {
            own.first().copied()
        } else if self.open.len() > self.all {
            // Of clients with as many, the one whose oldest is the oldest.
            let greediest = self.clients.values().max_by_key(|own| (own.len(), std::cmp::Reverse(own.first())));
            greediest.and_then(|own| own.first().copied())
        } else {
            None
        };
        oldest.inspect(|oldest| self.leave(*oldest));
        (number, oldest)
    }

    /// One is no longer connected; nothing where it had to go before.
    pub(super) fn leave(&mut self, number: u64) {
        let Some(client) = self.open.remove(&number) else { return };
        if let Some(own) = self.clients.get_mut(&client) {
            own.remove(&number);
            if own.is_empty() {
                self.clients.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn what_one_party_can_choose_is_one_client() {
        for (a, b, same) in [
            ("127.0.0.1", "127.9.8.7", true),
            ("127.0.0.1", "::1", true),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(client(a) == client(b), same, "{a} {b}");
        }
    }

    #[test]
    fn who_has_too_many_loses_its_own_oldest() {
        let mut gate = Gate::new(8, 2);
        let other = gate.enter(client("10.0.0.2")).0;
        let own: Vec<u64> = (0..2).map(|_| gate.enter(client("10.0.0.1")).0).collect();
        for expected in own {
            assert_eq!(gate.enter(client("10.0.0.1")).1, Some(expected));
        }
        gate.leave(other);
        assert_eq!(gate.open.len(), 2);
        assert_eq!(gate.clients.len(), 1, "nothing is kept of who has left");
    }

    #[test]
    fn where_all_have_too_many_the_greediest_goes() {
        let mut gate = Gate::new(4, 3);
        let probe = gate.enter(Client::Loopback).0;
        let many: Vec<u64> = (0..3).map(|_| gate.enter(client("10.0.0.1")).0).collect();
        assert!(gate.is_full());
        assert_eq!(gate.enter(client("10.0.0.2")).1, Some(many[0]));
        assert_eq!(gate.enter(client("10.0.0.3")).1, Some(many[1]));
        // Now all have one, and the oldest is the probe.
        assert_eq!(gate.enter(client("10.0.0.4")).1, Some(probe));
    }
}
