//! What is in force, for the CLI and metrics.

use std::net::IpAddr;

use super::{
    engine::Engine,
    issue::{InForceStill, Issue, Reason, Subject},
    limits::CLOSED,
    locals::{Full, Stuck},
    policies::{DIRECTIONS, list},
    quota::Refusal,
    rule::RuleName,
};
use crate::objects::{Direction, Identity, Kind, NetworkPolicy, ObjectName, PortMatch};

/// What holds for an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The pod object that it belongs to.
    pub pod: Option<ObjectName>,
    /// The tables of its word, ingress and egress, 0 where it is not isolated, [`CLOSED`] where nothing may pass; none: it has
    /// no word.
    pub tables: Option<[u32; 2]>,
    /// The policies that isolate it in each direction.
    pub isolated_by: [Vec<ObjectName>; 2],
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Tables, superseded ones included.
    pub tables: usize,
    /// Keys of all tables.
    pub keys: usize,
    /// What tables ask of peers.
    pub terms: usize,
    /// Classes that tables tell apart.
    pub classes: usize,
    /// Known addresses.
    pub addresses: usize,
    /// Prefixes of blocks.
    pub blocks: usize,
    /// Directions of endpoints whose policies are not in force as they are written.
    pub stuck: usize,
}

impl Engine {
    /// What holds for an endpoint.
    #[must_use]
    pub fn endpoint(&self, index: u32) -> Option<InForce> {
        let local = self.locals.get(index)?;
        Some(InForce {
            pod: self.locals.pod(index, &self.pods).map(|pod| pod.name.clone()),
            tables: local.tables,
            isolated_by: [0, 1].map(|at| local.policies[at].to_vec()),
        })
    }

    /// The rule that a number in the maps stands for.
    #[must_use]
    pub fn rule(&self, number: u32) -> Option<&RuleName> {
        self.policies.rules.name(number)
    }

    /// The class that a known address has in the maps, and whether it is a pod's.
    #[must_use]
    pub fn class(&self, address: IpAddr) -> Option<(u32, bool)> {
        self.space.addresses.get(address)?.held.map(|held| (held.class, held.pod))
    }

    /// The numbers of its tables, superseded ones included.
    pub fn tables(&self) -> impl Iterator<Item = u32> {
        self.space.tables.iter().map(|(number, _)| number)
    }

    /// How much there is.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let space = &self.space;
        Summary {
            tables: space.tables.iter().count(),
            keys: space.keys,
            terms: space.terms.len(),
            classes: space.classes.len(),
            addresses: space.addresses.len(),
            blocks: space.blocks.len(),
            stuck: self.locals.iter().map(|(_, local)| local.stuck.iter().flatten().count()).sum(),
        }
    }

    /// What is not in force as its object says.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        let mut issues = Vec::new();
        for (index, local) in self.locals.iter() {
            for (at, direction) in DIRECTIONS.into_iter().enumerate() {
                let Some(stuck) = &local.stuck[at] else { continue };
                let pod = local.endpoint.pod.as_ref();
                let subject =
                    pod.map_or(Subject::Endpoint(index), |pod| Subject::Object(Identity::new(Kind::Pod, pod)));
                issues.push(Issue { subject, reason: self.reason(stuck, direction, local.tables.map(|all| all[at])) });
            }
        }
        for address in &self.left_out {
            let pod = self.space.addresses.get(*address).and_then(|entry| match entry.endpoint {
                0 => entry.owner(),
                index => self.locals.pod(index, &self.pods),
            });
            let object = pod.map(|pod| Subject::Object(Identity::new(Kind::Pod, &pod.name)));
            let subject = object.unwrap_or(Subject::Address(*address));
            issues.push(Issue { subject, reason: Reason::PeerLeftOut { address: *address } });
        }
        let compiled = self.policies.iter().filter(|policy| policy.is_compiled());
        compiled.for_each(|policy| empty_ranges(&policy.object, &mut issues));
        issues
    }
}

impl Engine {
    /// Why a direction is stuck whose word names this table.
    fn reason(&self, stuck: &Stuck, direction: Direction, table: Option<u32>) -> Reason {
        let closed = table.is_none_or(|table| table == CLOSED);
        let in_force = if closed { InForceStill::Nothing } else { InForceStill::Before };
        let policy = stuck.largest.clone();
        match stuck.full {
            Full::Keys => Reason::KeysFull { direction, policy, capacity: self.limits.keys, in_force },
            Full::Tables => Reason::TablesFull { direction, capacity: self.limits.tables, in_force },
            Full::Blocks => Reason::BlocksFull { direction, policy, capacity: self.limits.blocks, in_force },
            Full::Busy => Reason::Busy { direction, in_force },
            Full::Refused(Refusal::Pod(excess)) => Reason::OfPod { direction, policy, excess },
            Full::Refused(Refusal::Namespace(excess)) => Reason::OfNamespace { direction, policy, excess },
        }
    }
}

/// Sources refuse such ranges; one that comes all the same allows nothing.
fn empty_ranges(policy: &NetworkPolicy, issues: &mut Vec<Issue>) {
    for direction in DIRECTIONS {
        for (rule, spec) in list(policy, direction).iter().enumerate() {
            for (port, entry) in spec.ports.iter().enumerate() {
                if let PortMatch::Range(first, last) = entry.port
                    && last < first
                {
                    let reason = Reason::EmptyRange { direction, rule, port, first, last };
                    let subject = Subject::Object(Identity::new(Kind::NetworkPolicy, &policy.name));
                    issues.push(Issue { subject, reason });
                }
            }
        }
    }
}
