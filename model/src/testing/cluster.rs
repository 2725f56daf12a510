//! A cluster seen from one node, and what happens to it.

use std::{net::IpAddr, sync::Arc};

use crate::{
    objects::{Namespace, NetworkPolicy, ObjectName, Objects, Pod},
    oracle::{Endpoint, OwnNodeEgress, Sender, World},
};

/// A cluster seen from one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its objects.
    pub objects: Objects,
    /// The node that looks at it.
    pub node_name: String,
    /// That node's leases.
    pub endpoints: Vec<Endpoint>,
    /// That node's addresses.
    pub own_addresses: Vec<IpAddr>,
    /// What its pods may send to it.
    pub own_node_egress: OwnNodeEgress,
}

/// What happens to a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A pod appears, or changes.
    Pod(Pod),
    /// A pod's object goes.
    PodGone(ObjectName),
    /// A namespace appears, or gets other labels.
    Namespace(Namespace),
    /// A namespace's object goes; its pods and policies stay.
    NamespaceGone(Arc<str>),
    /// A policy appears, or changes.
    Policy(NetworkPolicy),
    /// A policy goes.
    PolicyGone(ObjectName),
    /// An ADD. Its index was not used before; an older endpoint with one of its addresses is gone with it.
    Endpoint(Endpoint),
    /// A DEL of whoever has the address.
    EndpointGone(IpAddr),
}

impl Cluster {
    /// What the oracle looks at.
    #[must_use]
    pub fn world(&self) -> World<'_> {
        World {
            objects: &self.objects,
            node_name: &self.node_name,
            endpoints: &self.endpoints,
            own_addresses: &self.own_addresses,
            own_node_egress: self.own_node_egress,
        }
    }

    /// Who sends what has this source address.
    #[must_use]
    pub fn sender(&self, source: IpAddr) -> Sender {
        if self.world().endpoint_at(source).is_some() {
            Sender::LocalPod
        } else if self.own_addresses.contains(&source) {
            Sender::NodeItself
        } else {
            Sender::Forwarded
        }
    }

    /// Lets something happen.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Pod(pod) => _ = self.objects.pods.insert(pod.name.clone(), Arc::new(pod)),
            Event::PodGone(name) => _ = self.objects.pods.remove(&name),
            Event::Namespace(namespace) => {
                self.objects.namespaces.insert(Arc::clone(&namespace.name), Arc::new(namespace));
            }
            Event::NamespaceGone(name) => _ = self.objects.namespaces.remove(&name),
            Event::Policy(policy) => _ = self.objects.policies.insert(policy.name.clone(), Arc::new(policy)),
            Event::PolicyGone(name) => _ = self.objects.policies.remove(&name),
            Event::Endpoint(endpoint) => {
                self.endpoints.retain(|old| !old.addresses.iter().any(|one| endpoint.addresses.contains(one)));
                self.endpoints.push(endpoint);
            }
            Event::EndpointGone(address) => self.endpoints.retain(|old| !old.addresses.contains(&address)),
        }
    }
}
