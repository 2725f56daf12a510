//! Verdicts on packets one after another: who opened which flow, and whether its opener may still send.
//!
//! No clock: a flow is remembered until an end of it gets another owner.

use std::{collections::BTreeMap, net::IpAddr};

use super::{Judgement, Owner, Packet, Sender, Traffic, World, judge};
use crate::objects::ObjectName;

/// The flows of a node.
#[derive(Debug, Clone, Default)]
pub struct Flows(BTreeMap<Key, Flow>);

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// As what it was judged.
    pub role: Role,
    /// The verdict on its flow's opener, as of now.
    pub judgement: Judgement,
}

impl Outcome {
    /// Whether it passes.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.judgement.passes()
    }
}

/// As what a packet was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It belongs to no flow that is known, or opens one the other way round.
    New,
    /// It is one more of the end that opened the flow.
    Opener,
    /// It answers.
    Reply,
    /// It is an ICMP error about a flow.
    Related,
}

/// A flow: both ends in order, with their ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    ends: [(IpAddr, u16); 2],
    protocol: u8,
    /// Of echo: who asks. Both ends may use one identifier.
    asker: Option<IpAddr>,
}

#[derive(Debug, Clone)]
struct Flow {
    /// A packet of the end that opened it.
    opener: Packet,
    sender: Sender,
    /// Who had the addresses of source and destination, as far as anybody was known to.
    owners: [Option<Identity>; 2],
}

/// What stays the same about an owner while its addresses are its own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Identity {
    Endpoint(u32),
    Node(String),
    Pod { name: ObjectName, uid: String, node: Option<String> },
}

impl Flows {
    /// What becomes of a packet, which is remembered where it opens a flow.
    pub fn see(&mut self, world: &World<'_>, packet: &Packet, sender: Sender) -> Outcome {
        if let Some(judgement) = self.related(world, packet, sender) {
            return Outcome { role: Role::Related, judgement };
        }
        let key = Key::of(packet);
        let known = self.0.get(&key);
        let (role, judgement) = match known {
            // What a pod's own node says passes, whomever it answers.
            Some(_) if sender == Sender::NodeItself => (Role::Reply, judge(world, packet, sender)),
            Some(flow) if flow.opener.source == packet.source && flow.is_same_end(packet) => {
                (Role::Opener, judge(world, packet, sender))
            }
            Some(flow) if !opens(packet) => (Role::Reply, judge(world, &flow.opener, flow.sender)),
            Some(_) | None => (Role::New, judge(world, packet, sender)),
        };
        if role == Role::New && judgement.passes() && !answers(packet) && !judgement.is_to_itself() {
            let owners = [packet.source, packet.destination].map(|address| identity(world, address));
            self.0.insert(key, Flow { opener: packet.clone(), sender, owners });
        } else if role == Role::Opener
            && let Some(flow) = self.0.get_mut(&key)
        {
            flow.sender = sender;
        }
        Outcome { role, judgement }
    }

    /// Takes notice of other objects, endpoints or settings: to be called after each change, before the next packet. A
    /// flow goes when a pod that has one of its addresses loses it, and when another gets a node's.
    pub fn changed(&mut self, world: &World<'_>) {
        self.0.retain(|_, flow| {
            let now = [flow.opener.source, flow.opener.destination].map(|address| identity(world, address));
            flow.owners.iter_mut().zip(now).all(|(before, now)| match (&before, now) {
                (Some(Identity::Node(_)) | None, None) => true,
                // Whoever is added here was nowhere before.
                (None, Some(Identity::Endpoint(_))) => false,
                (Some(Identity::Endpoint(_) | Identity::Pod { .. }), None) => false,
                (Some(before), Some(now)) => *before == now,
                (None, now) => {
                    *before = now;
                    true
                }
            })
        });
    }

    /// Forgets every flow.
    pub fn flush(&mut self) {
        self.0.clear();
    }

    /// The verdict on the flow that an ICMP error is about, where it is sent to the end whose packet it quotes. A pod
    /// can say so of packets that were sent to it alone.
    fn related(&self, world: &World<'_>, packet: &Packet, sender: Sender) -> Option<Judgement> {
        let Traffic::Error { about } = &packet.traffic else { return None };
        let honest =
            about.source == packet.destination && (sender != Sender::LocalPod || about.destination == packet.source);
        let flow = self.0.get(&Key::of(about)).filter(|_| honest && sender != Sender::NodeItself)?;
        Some(judge(world, &flow.opener, flow.sender))
    }
}

impl Flow {
    /// Whether a packet between its ends has the opener's ports on the opener's side: both may have one address.
    fn is_same_end(&self, packet: &Packet) -> bool {
        match packet.traffic {
            Traffic::Echo { .. } | Traffic::Error { .. } | Traffic::Other(_) => true,
            _ => ports(&self.opener.traffic) == ports(&packet.traffic),
        }
    }
}

impl Key {
    fn of(packet: &Packet) -> Self {
        let (source_port, port) = ports(&packet.traffic);
        let mut ends = [(packet.source, source_port), (packet.destination, port)];
        ends.sort();
        let asker = match packet.traffic {
            Traffic::Echo { reply: false, .. } => Some(packet.source),
            Traffic::Echo { reply: true, .. } => Some(packet.destination),
            _ => None,
        };
        Self { ends, protocol: protocol(packet), asker }
    }
}

/// A SYN, or a question: it is never a reply.
fn opens(packet: &Packet) -> bool {
    matches!(packet.traffic, Traffic::Tcp { opens: true, .. } | Traffic::Echo { reply: false, .. })
}

/// An answer to nothing, or an error about nothing: it opens no flow.
fn answers(packet: &Packet) -> bool {
    matches!(packet.traffic, Traffic::Echo { reply: true, .. } | Traffic::Error { .. })
}

fn ports(traffic: &Traffic) -> (u16, u16) {
    match *traffic {
        Traffic::Tcp { source_port, port, .. }
        | Traffic::Udp { source_port, port }
        | Traffic::Sctp { source_port, port } => (source_port, port),
        Traffic::Echo { identifier, .. } => (identifier, identifier),
        Traffic::Error { .. } | Traffic::Other(_) => (0, 0),
    }
}

/// The protocol's number.
fn protocol(packet: &Packet) -> u8 {
    match packet.traffic {
        Traffic::Tcp { .. } => 6,
        Traffic::Udp { .. } => 17,
        Traffic::Sctp { .. } => 132,
        Traffic::Echo { .. } | Traffic::Error { .. } if packet.source.is_ipv4() => 1,
        Traffic::Echo { .. } | Traffic::Error { .. } => 58,
        Traffic::Other(number) => number,
    }
}

fn identity(world: &World<'_>, address: IpAddr) -> Option<Identity> {
    match world.owner(address) {
        Owner::Endpoint(endpoint) => Some(Identity::Endpoint(endpoint.index)),
        Owner::Node(name) => Some(Identity::Node(name.to_owned())),
        Owner::Pod(pod) => Some(Identity::Pod {
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            node: pod.node.as_deref().map(str::to_owned),
        }),
        Owner::Nobody => None,
    }
}
