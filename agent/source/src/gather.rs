//! Objects put together to a set, of whatever source: by name, equal ones shared with the set before, and strings that
//! many have in common kept once.

use std::{collections::HashSet, mem, sync::Arc};

use ferrule_model::{
    objects::{EndpointSlice, Identity, Kind, Map, Objects, Pod},
    selector::Labels,
};

use super::decode::Object;

/// Strings and label sets that many objects have in common, kept once.
#[derive(Debug, Default)]
pub(super) struct Shared {
    texts: HashSet<Arc<str>>,
    labels: HashSet<Labels>,
    /// With how many it is tidied without a list, which may not come for days while pods come and go.
    most: usize,
}

/// So many are kept without a look at who has them.
pub(super) const FEW: usize = 1024;

impl Shared {
    /// Forgets what no object has any more.
    pub(super) fn tidy(&mut self) {
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.labels.retain(|labels| labels.holders() > 1);
        self.most = (2 * self.len()).max(FEW);
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.texts.len() + self.labels.len()
    }

    fn text(&mut self, text: &mut Arc<str>) {
        match self.texts.get(text) {
            Some(shared) => *text = Arc::clone(shared),
            None => _ = self.texts.insert(Arc::clone(text)),
        }
    }

    fn object(&mut self, object: &mut Object) {
        if self.len() > self.most.max(FEW) {
            self.tidy();
        }
        match object {
            Object::Pod(pod) => self.pod(pod),
            Object::EndpointSlice(slice) => self.slice(slice),
            // There are few of them, and they have little in common.
            Object::Node(_) | Object::Namespace(_) | Object::NetworkPolicy(_) | Object::Service(_) => {}
        }
    }

    fn pod(&mut self, pod: &mut Pod) {
        self.text(&mut pod.name.namespace);
        pod.node.iter_mut().for_each(|node| self.text(node));
        match self.labels.get(&pod.labels) {
            Some(shared) => pod.labels = shared.clone(),
            None => _ = self.labels.insert(pod.labels.clone()),
        }
    }

    fn slice(&mut self, slice: &mut EndpointSlice) {
        self.text(&mut slice.name.namespace);
        for endpoint in &mut slice.endpoints {
            endpoint.node.iter_mut().chain(&mut endpoint.zone).for_each(|text| self.text(text));
            endpoint.for_zones.iter_mut().chain(&mut endpoint.for_nodes).for_each(|text| self.text(text));
        }
    }
}

/// Enters an object; false if its name is taken. One that did not change stays the same allocation.
pub(super) fn enter(objects: &mut Objects, mut object: Object, old: &Objects, shared: &mut Shared) -> bool {
    shared.object(&mut object);
    match object {
        Object::Node(node) => put(&mut objects.nodes, Arc::clone(&node.name), node, &old.nodes),
        Object::Namespace(one) => put(&mut objects.namespaces, Arc::clone(&one.name), one, &old.namespaces),
        Object::Pod(pod) => put(&mut objects.pods, pod.name.clone(), pod, &old.pods),
        Object::NetworkPolicy(policy) => put(&mut objects.policies, policy.name.clone(), policy, &old.policies),
        Object::Service(one) => put(&mut objects.services, one.name.clone(), one, &old.services),
        Object::EndpointSlice(one) => put(&mut objects.endpoint_slices, one.name.clone(), one, &old.endpoint_slices),
    }
}

fn put<K: Ord + Clone, T: PartialEq>(map: &mut Map<K, Arc<T>>, key: K, value: T, old: &Map<K, Arc<T>>) -> bool {
    if map.contains_key(&key) {
        return false;
    }
    let value = match old.get(&key) {
        Some(same) if **same == value => Arc::clone(same),
        _ => Arc::new(value),
    };
    map.insert(key, value);
    true
}

/// Puts an object in the place of whatever has its name; false if it is the same.
pub(super) fn set(objects: &mut Objects, mut object: Object, shared: &mut Shared) -> bool {
    shared.object(&mut object);
    match object {
        Object::Node(node) => set_one(&mut objects.nodes, Arc::clone(&node.name), node),
        Object::Namespace(one) => set_one(&mut objects.namespaces, Arc::clone(&one.name), one),
        Object::Pod(pod) => set_one(&mut objects.pods, pod.name.clone(), pod),
        Object::NetworkPolicy(policy) => set_one(&mut objects.policies, policy.name.clone(), policy),
        Object::Service(one) => set_one(&mut objects.services, one.name.clone(), one),
        Object::EndpointSlice(one) => set_one(&mut objects.endpoint_slices, one.name.clone(), one),
    }
}

fn set_one<K: Ord + Clone, T: PartialEq>(map: &mut Map<K, Arc<T>>, key: K, value: T) -> bool {
    if map.get(&key).is_some_and(|same| **same == value) {
        return false;
    }
    map.insert(key, Arc::new(value));
    true
}

/// Removes an object; false if there is none.
pub(super) fn remove(objects: &mut Objects, identity: &Identity) -> bool {
    let name = &identity.name;
    match identity.kind {
        Kind::Node => objects.nodes.remove(&name.name).is_some(),
        Kind::Namespace => objects.namespaces.remove(&name.name).is_some(),
        Kind::Pod => objects.pods.remove(name).is_some(),
        Kind::NetworkPolicy => objects.policies.remove(name).is_some(),
        Kind::Service => objects.services.remove(name).is_some(),
        Kind::EndpointSlice => objects.endpoint_slices.remove(name).is_some(),
    }
}

/// Whether there is an object of that name.
pub(super) fn has(objects: &Objects, identity: &Identity) -> bool {
    let name = &identity.name;
    match identity.kind {
        Kind::Node => objects.nodes.contains_key(&name.name),
        Kind::Namespace => objects.namespaces.contains_key(&name.name),
        Kind::Pod => objects.pods.contains_key(name),
        Kind::NetworkPolicy => objects.policies.contains_key(name),
        Kind::Service => objects.services.contains_key(name),
        Kind::EndpointSlice => objects.endpoint_slices.contains_key(name),
    }
}

/// All objects of a kind become those of another set, which loses them.
pub(super) fn replace_kind(objects: &mut Objects, kind: Kind, by: &mut Objects) {
    match kind {
        Kind::Node => objects.nodes = mem::take(&mut by.nodes),
        Kind::Namespace => objects.namespaces = mem::take(&mut by.namespaces),
        Kind::Pod => objects.pods = mem::take(&mut by.pods),
        Kind::NetworkPolicy => objects.policies = mem::take(&mut by.policies),
        Kind::Service => objects.services = mem::take(&mut by.services),
        Kind::EndpointSlice => objects.endpoint_slices = mem::take(&mut by.endpoint_slices),
    }
}

/// Keeps the last good state of one object; false if there is none.
pub(super) fn keep(objects: &mut Objects, identity: &Identity, old: &Objects) -> bool {
    let name = &identity.name;
    match identity.kind {
        Kind::Node => keep_one(&mut objects.nodes, &name.name, &old.nodes),
        Kind::Namespace => keep_one(&mut objects.namespaces, &name.name, &old.namespaces),
        Kind::Pod => keep_one(&mut objects.pods, name, &old.pods),
        Kind::NetworkPolicy => keep_one(&mut objects.policies, name, &old.policies),
        Kind::Service => keep_one(&mut objects.services, name, &old.services),
        Kind::EndpointSlice => keep_one(&mut objects.endpoint_slices, name, &old.endpoint_slices),
    }
}

fn keep_one<K: Ord + Clone, T>(map: &mut Map<K, Arc<T>>, key: &K, old: &Map<K, Arc<T>>) -> bool {
    let Some(value) = old.get(key) else { return false };
    map.entry(key.clone()).or_insert_with(|| Arc::clone(value));
    true
}

/// Keeps the last good state of all objects that are not there.
pub(super) fn keep_all(objects: &mut Objects, old: &Objects) {
    fn missing<K: Ord + Clone, T>(map: &mut Map<K, Arc<T>>, old: &Map<K, Arc<T>>) {
        for key in old.keys() {
            keep_one(map, key, old);
        }
    }
    missing(&mut objects.nodes, &old.nodes);
    missing(&mut objects.namespaces, &old.namespaces);
    missing(&mut objects.pods, &old.pods);
    missing(&mut objects.policies, &old.policies);
    missing(&mut objects.services, &old.services);
    missing(&mut objects.endpoint_slices, &old.endpoint_slices);
}
