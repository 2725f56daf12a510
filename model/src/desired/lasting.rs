//! InternalIPs that came or went a moment ago. Nodes learn of a change one after another; so that none drops another's packets
//! meanwhile, a node goes on to speak from what it had, and all go on to believe it, for a while.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::{LOCAL, PeerKind, Remote};
use crate::objects::{Map, Node};

/// How long a node does not speak from a new InternalIP where it has another, in milliseconds: until others know it.
const UNTIL_KNOWN: u64 = 2_000;
/// How long a former InternalIP is believed, in milliseconds: whoever has it may not have heard yet.
const UNTIL_FORGOTTEN: u64 = 60_000;

/// How many former InternalIPs of one node are believed at most, the latest: whoever changes its Node again and again fills
/// nobody's map with them.
const MOST_FORMER: usize = 8;

/// What is to be known of it at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lasting {
    /// InternalIPs that a node had, which nobody has claimed since, and the node's name.
    pub former: BTreeMap<IpAddr, Arc<str>>,
    /// This node's InternalIPs that others may not know yet.
    pub young: BTreeSet<IpAddr>,
}

/// Remembers who had which InternalIP, and since when. Times are milliseconds of any clock that does not go back.
#[derive(Debug, Default)]
pub struct InternalIps {
    owners: Option<BTreeMap<IpAddr, Arc<str>>>,
    /// Until when.
    former: BTreeMap<IpAddr, (Arc<str>, u64)>,
    /// Until when.
    young: BTreeMap<IpAddr, u64>,
}

impl InternalIps {
    /// Looks at the nodes, and says what came or went a moment ago. At the first look nothing did but what `observed`, the
    /// maps as a former agent left them, still has. What another node claims, or a node that is gone had, is not believed.
    pub fn follow(&mut self, nodes: &Map<Arc<str>, Arc<Node>>, own: &str, observed: &Remote, now: u64) -> Lasting {
        let owners: BTreeMap<IpAddr, Arc<str>> =
            nodes.iter().flat_map(|(name, node)| node.internal_ips.iter().map(|ip| (*ip, Arc::clone(name)))).collect();
        match &self.owners {
            Some(before) => {
                let gone = before.iter().filter(|(ip, _)| !owners.contains_key(ip));
                self.former.extend(gone.map(|(ip, node)| (*ip, (Arc::clone(node), now + UNTIL_FORGOTTEN))));
                let new = owners.iter().filter(|(ip, node)| &***node == own && before.get(ip) != Some(node));
                self.young.extend(new.map(|(ip, _)| (*ip, now + UNTIL_KNOWN)));
            }
            None => {
                let left = left(&owners, own, observed);
                self.former.extend(left.map(|(ip, node)| (ip, (node, now + UNTIL_FORGOTTEN))));
            }
        }
        self.former.retain(|ip, (node, until)| *until > now && !owners.contains_key(ip) && nodes.contains_key(node));
        self.bound();
        self.young.retain(|ip, until| *until > now && owners.contains_key(ip));
        self.owners = Some(owners);
        Lasting {
            former: self.former.iter().map(|(ip, (node, _))| (*ip, Arc::clone(node))).collect(),
            young: self.young.keys().copied().collect(),
        }
    }

    /// Forgets the oldest of what a node had where that is too much.
    fn bound(&mut self) {
        let mut of_nodes: BTreeMap<Arc<str>, BTreeSet<(u64, IpAddr)>> = BTreeMap::new();
        for (ip, (node, until)) in &self.former {
            of_nodes.entry(Arc::clone(node)).or_default().insert((*until, *ip));
        }
        let excess = of_nodes.values().flat_map(|all| all.iter().rev().skip(MOST_FORMER));
        excess.for_each(|(_, ip)| _ = self.former.remove(ip));
    }

    /// When something of it is over.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.former.values().map(|(_, until)| *until).chain(self.young.values().copied()).min()
    }
}

/// Nodes' addresses in the maps that are nobody's now, by the entry that they name.
fn left<'a>(
    owners: &'a BTreeMap<IpAddr, Arc<str>>,
    own: &'a str,
    observed: &'a Remote,
) -> impl Iterator<Item = (IpAddr, Arc<str>)> + 'a {
    let of_nodes = observed.peers.iter().filter(|(ip, peer)| peer.kind == PeerKind::Node && !owners.contains_key(ip));
    of_nodes.filter_map(move |(ip, peer)| {
        if peer.node == LOCAL {
            return Some((*ip, Arc::from(own)));
        }
        let entry = observed.nodes.get(&peer.node)?;
        let known = [entry.internal_v4.map(IpAddr::V4), entry.internal_v6.map(IpAddr::V6), entry.tunnel];
        let node = known.into_iter().flatten().find_map(|ip| owners.get(&ip))?;
        (&**node != own).then(|| (*ip, Arc::clone(node)))
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Forwarding, NodeEntry, Peer},
        *,
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn nodes(all: &[(&str, &[&str])]) -> Map<Arc<str>, Arc<Node>> {
        let node = |name: &str, ips: &[&str]| {
            let internal_ips = ips.iter().map(|one| ip(one)).collect();
            let node = Node { name: name.into(), internal_ips, ..Node::default() };
            (Arc::from(name), Arc::new(node))
        };
        all.iter().map(|(name, ips)| node(name, ips)).collect()
    }

    fn names(lasting: &Lasting) -> (Vec<String>, Vec<String>) {
        let former = lasting.former.iter().map(|(ip, node)| format!("{ip} of {node}")).collect();
        (former, lasting.young.iter().map(ToString::to_string).collect())
    }

    /// When it is, nodes with their InternalIPs, the former ones that are known then, the young ones.
    type Look<'a> = (u64, &'a [(&'a str, &'a [&'a str])], &'a [&'a str], &'a [&'a str]);

    /// What is known after each of these looks.
    fn check(steps: &[Look<'_>]) {
        let mut memory = InternalIps::default();
        for (now, all, former, young) in steps {
            let found = names(&memory.follow(&nodes(all), "a", &Remote::default(), *now));
            assert_eq!(
                found,
                (former.iter().map(ToString::to_string).collect(), young.iter().map(ToString::to_string).collect()),
                "at {now}"
            );
        }
    }

    #[test]
    fn what_is_there_at_first_is_neither() {
        check(&[(0, &[("a", &["192.0.2.1"]), ("b", &["192.0.2.2"])], &[], &[])]);
    }

    #[test]
    fn a_former_address_is_believed_for_a_minute_and_a_new_one_is_young_for_two_seconds() {
        let after: &[(&str, &[&str])] = &[("a", &["192.0.2.11"]), ("b", &["192.0.2.12"])];
        let former: &[&str] = &["192.0.2.1 of a", "192.0.2.2 of b"];
        check(&[
            (0, &[("a", &["192.0.2.1"]), ("b", &["192.0.2.2"])], &[], &[]),
            (10, after, former, &["192.0.2.11"]),
            (2_009, after, former, &["192.0.2.11"]),
            (2_010, after, former, &[]),
            (60_009, after, former, &[]),
            (60_010, after, &[], &[]),
        ]);
    }

    #[test]
    fn what_others_claim_and_what_a_node_had_that_is_gone_is_not_believed() {
        check(&[
            (0, &[("a", &["192.0.2.1"]), ("b", &["192.0.2.2"])], &[], &[]),
            (1, &[("a", &["192.0.2.1"]), ("b", &[]), ("c", &["192.0.2.2"])], &[], &[]),
            (2, &[("a", &["192.0.2.1"]), ("b", &[]), ("c", &[])], &["192.0.2.2 of c"], &[]),
            (3, &[("a", &["192.0.2.1"]), ("b", &[])], &[], &[]),
        ]);
    }

    #[test]
    fn a_node_that_changes_all_the_time_is_believed_in_its_latest_addresses_alone() {
        let mut memory = InternalIps::default();
        for last in 0..100 {
            let own = format!("192.0.2.{last}");
            let all: &[(&str, &[&str])] = &[("a", &["198.51.100.1"]), ("b", &[&own]), ("c", &["203.0.113.1"])];
            memory.follow(&nodes(all), "a", &Remote::default(), last);
        }
        let all: &[(&str, &[&str])] = &[("a", &["198.51.100.1"]), ("b", &["192.0.2.99"]), ("c", &["203.0.113.2"])];
        let (former, _) = names(&memory.follow(&nodes(all), "a", &Remote::default(), 100));
        let latest = (91..99).map(|last| format!("192.0.2.{last} of b"));
        assert_eq!(former, latest.chain(["203.0.113.1 of c".to_owned()]).collect::<Vec<_>>());
    }

    #[test]
    fn one_that_comes_back_is_no_former_one() {
        check(&[
            (0, &[("a", &["192.0.2.1"]), ("b", &["192.0.2.2"])], &[], &[]),
            (1, &[("a", &["192.0.2.1"]), ("b", &[])], &["192.0.2.2 of b"], &[]),
            (2, &[("a", &["192.0.2.1"]), ("b", &["192.0.2.2"])], &[], &[]),
        ]);
    }

    #[test]
    fn the_next_agent_finds_former_addresses_in_the_maps() {
        let entry = NodeEntry {
            forwarding: Forwarding::Vxlan,
            ifindex: 7,
            mtu: 1450,
            tunnel: Some(ip("192.0.2.12")),
            source: None,
            uplink: None,
            next_hop_v4: None,
            next_hop_v6: None,
            internal_v4: Some([192, 0, 2, 12].into()),
            internal_v6: None,
        };
        let node = |node| Peer { node, kind: PeerKind::Node };
        let peers = [
            (ip("192.0.2.1"), node(LOCAL)),
            (ip("192.0.2.2"), node(3)),
            (ip("192.0.2.12"), node(3)),
            (ip("192.0.2.9"), node(4)),
        ];
        let observed = Remote {
            nodes: [(3_u32, entry)].into_iter().collect(),
            peers: peers.into_iter().collect(),
            ..Remote::default()
        };
        let mut memory = InternalIps::default();
        let found = memory.follow(&nodes(&[("a", &["192.0.2.11"]), ("b", &["192.0.2.12"])]), "a", &observed, 5);
        assert_eq!(names(&found), (vec!["192.0.2.1 of a".into(), "192.0.2.2 of b".into()], vec![]));
        assert_eq!(memory.next(), Some(5 + UNTIL_FORGOTTEN));
    }
}
