//! The verdict on a packet that opens a flow, for each of its ends that is a pod of this node.

use super::{Endpoint, OwnNodeEgress, Packet, Sender, World, rule::Asked};
use crate::objects::{Direction, ObjectName};

/// The verdict on a packet that opens a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What its sender may send; none where that is no pod of this node.
    pub egress: Option<End>,
    /// What its receiver may get; none where that is no pod of this node.
    pub ingress: Option<End>,
}

impl Judgement {
    /// "Both the egress policy on the source and the ingress policy on the destination need to allow it."
    #[must_use]
    pub fn passes(&self) -> bool {
        self.egress.iter().chain(&self.ingress).all(|end| end.allowed)
    }

    /// Whether a pod sends it to itself: nobody else has to know of it.
    #[must_use]
    pub fn is_to_itself(&self) -> bool {
        self.egress.iter().chain(&self.ingress).any(|end| end.exempt == Some(Exemption::Itself))
    }
}

/// What one end says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The endpoint's index.
    pub endpoint: u32,
    /// Whether a policy isolates it in this direction.
    pub isolated: bool,
    /// Whether the packet may pass.
    pub allowed: bool,
    /// Why it passes whatever policies say.
    pub exempt: Option<Exemption>,
    /// Every rule that allows it, in the order of the policies' names.
    pub by: Vec<RuleRef>,
    /// The policies that isolate the endpoint in this direction, by name.
    pub selected_by: Vec<ObjectName>,
}

/// What passes whatever policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    /// "A Pod cannot block access to itself."
    Itself,
    /// "Traffic to and from the node where a Pod is running is always allowed": what the node sends, as its probes.
    FromNode,
    /// The same, for what the pod sends; see [`OwnNodeEgress`].
    ToNode,
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleRef {
    /// The policy.
    pub policy: ObjectName,
    /// In which of its lists.
    pub direction: Direction,
    /// Its place in that list, from 0.
    pub index: usize,
}

/// Whether a packet that opens a flow may pass.
#[must_use]
pub fn judge(world: &World<'_>, packet: &Packet, sender: Sender) -> Judgement {
    let source = world.endpoint_at(packet.source).filter(|_| sender == Sender::LocalPod);
    let target = world.endpoint_at(packet.destination);
    let itself = match (source, target) {
        (Some(source), Some(target)) if source.index == target.index => Some(Exemption::Itself),
        _ => None,
    };
    let to_node = world.own_node_egress == OwnNodeEgress::Allow && world.own_addresses.contains(&packet.destination);
    let egress = itself.or(to_node.then_some(Exemption::ToNode));
    let ingress = itself.or((sender == Sender::NodeItself).then_some(Exemption::FromNode));
    Judgement {
        egress: source.map(|endpoint| end(world, packet, endpoint, Direction::Egress, egress)),
        ingress: target.map(|endpoint| end(world, packet, endpoint, Direction::Ingress, ingress)),
    }
}

/// "By default, a pod is non-isolated [...]; all [...] connections are allowed. A pod is isolated [...] if there is any
/// NetworkPolicy that both selects the pod and has [the direction] in its policyTypes [...]. The effects of those lists
/// combine additively."
fn end(
    world: &World<'_>,
    packet: &Packet,
    endpoint: &Endpoint,
    direction: Direction,
    exempt: Option<Exemption>,
) -> End {
    let (mut by, mut selected_by) = (Vec::new(), Vec::new());
    if let Some(subject) = world.pod_of(endpoint) {
        let policies = world.objects.policies.values();
        for policy in policies.filter(|one| one.isolates.contains(&direction) && one.selects(subject)) {
            selected_by.push(policy.name.clone());
            let rules = match direction {
                Direction::Ingress => &policy.ingress,
                Direction::Egress => &policy.egress,
            };
            let asked = Asked { world, policy, direction, subject };
            let allowing = rules.iter().enumerate().filter(|(_, rule)| asked.allows(rule, packet));
            by.extend(allowing.map(|(index, _)| RuleRef { policy: policy.name.clone(), direction, index }));
        }
    }
    let isolated = !selected_by.is_empty();
    let allowed = exempt.is_some() || !isolated || !by.is_empty();
    End { endpoint: endpoint.index, isolated, allowed, exempt, by, selected_by }
}
