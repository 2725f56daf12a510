//! What the API server has said so far, as one set of objects: pure, without a connection.
//!
//! A list that is under way changes nothing until it is whole; then it replaces its kind in one step. An object with a
//! bad value keeps its last good state; a policy that has none is closed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ferrule_model::objects::{Identity, Kind, ObjectName, Objects, Pod};
use kube::runtime::watcher::Event;

use crate::{
    Level, Note,
    decode::{Decoded, FieldError, Refused},
    gather,
    gather::Shared,
    stands::Stands,
    store::Snapshot,
};

/// What the notes call the source.
const SOURCE: &str = "kubernetes";

/// The objects of the API server, kind by kind.
#[derive(Debug, Default)]
pub struct Mirror {
    objects: Objects,
    kinds: BTreeMap<Kind, State>,
    shared: Shared,
    /// Pods whose addresses their nodes' agents announce: few, for a second or two each.
    announced: BTreeSet<ObjectName>,
    /// Those of them whose announcement is not believed.
    disbelieved: BTreeSet<ObjectName>,
}

/// What is known of one kind's watch.
#[derive(Debug, Default)]
struct State {
    /// It was listed once.
    listed: bool,
    /// A list that is not whole yet, and what is wrong with its objects.
    relist: Option<(Objects, BTreeMap<ObjectName, Bad>)>,
    /// Objects with bad values.
    bad: BTreeMap<ObjectName, Bad>,
}

/// An object with a bad value.
#[derive(Debug, Clone)]
struct Bad {
    identity: Identity,
    error: FieldError,
    stands: Stands,
}

impl Mirror {
    /// Takes what a watch of one kind said; true if there is something new to see.
    pub fn take(&mut self, kind: Kind, event: Event<Decoded>) -> bool {
        let changed = self.enter(kind, event);
        // A node's pod CIDRs are what its pods' announcements are held against.
        if changed && kind == Kind::Node {
            self.judge_all();
        }
        changed
    }

    fn enter(&mut self, kind: Kind, event: Event<Decoded>) -> bool {
        let state = self.kinds.entry(kind).or_default();
        match event {
            Event::Init => {
                state.relist = Some(<_>::default());
                false
            }
            Event::InitApply(decoded) => {
                let Some((list, bad)) = &mut state.relist else { return false };
                match decoded {
                    Ok((_, object)) => _ = gather::enter(list, object, &self.objects, &mut self.shared),
                    Err(Refused { identity: Some(identity), error, stand_in }) => {
                        let known = had_good_state(&state.bad, &identity.name);
                        let stands = if known && gather::keep(list, &identity, &self.objects) {
                            Stands::Known
                        } else if let Some(object) = stand_in {
                            gather::enter(list, *object, &self.objects, &mut self.shared);
                            Stands::Closed
                        } else {
                            Stands::Nothing
                        };
                        bad.insert(identity.name.clone(), Bad { identity, error, stands });
                    }
                    // The API server gives every object a name.
                    Err(Refused { error, .. }) => tracing::error!(%error, ?kind, "an object without a name"),
                }
                false
            }
            Event::InitDone => {
                let Some((mut list, bad)) = state.relist.take() else { return false };
                (state.bad, state.listed) = (bad, true);
                gather::replace_kind(&mut self.objects, kind, &mut list);
                self.shared.tidy();
                if kind == Kind::Pod {
                    let announced = self.objects.pods.iter().filter(|(_, pod)| pod.announced);
                    self.announced = announced.map(|(name, _)| name.clone()).collect();
                    self.judge_all();
                }
                true
            }
            Event::Apply(decoded) => self.apply(kind, decoded),
            Event::Delete(decoded) => {
                let identity = decoded.map_or_else(|refused| refused.identity, |(identity, _)| Some(identity));
                let Some(identity) = identity else { return false };
                state.bad.remove(&identity.name);
                if kind == Kind::Pod {
                    self.announced.remove(&identity.name);
                    self.disbelieved.remove(&identity.name);
                }
                gather::remove(&mut self.objects, &identity)
            }
        }
    }

    fn apply(&mut self, kind: Kind, decoded: Decoded) -> bool {
        let state = self.kinds.entry(kind).or_default();
        match decoded {
            Ok((identity, object)) => {
                let mended = state.bad.remove(&identity.name).is_some();
                let changed = gather::set(&mut self.objects, object, &mut self.shared);
                if kind == Kind::Pod {
                    self.disbelieved.remove(&identity.name);
                    if self.objects.pods.get(&identity.name).is_some_and(|pod| pod.announced) {
                        self.judge(&identity.name);
                        self.announced.insert(identity.name);
                    } else {
                        self.announced.remove(&identity.name);
                    }
                }
                changed || mended
            }
            Err(Refused { identity: Some(identity), error, stand_in }) => {
                let known = had_good_state(&state.bad, &identity.name);
                let stands = if known && gather::has(&self.objects, &identity) {
                    Stands::Known
                } else if let Some(object) = stand_in {
                    gather::set(&mut self.objects, *object, &mut self.shared);
                    Stands::Closed
                } else {
                    Stands::Nothing
                };
                state.bad.insert(identity.name.clone(), Bad { identity, error, stands });
                true
            }
            Err(Refused { error, .. }) => {
                tracing::error!(%error, ?kind, "an object without a name");
                false
            }
        }
    }

    /// The kinds that were not listed yet.
    pub fn missing(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| !self.kinds.get(kind).is_some_and(|state| state.listed))
    }

    /// All of it, as of now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let synced = self.missing().next().is_none();
        let bad = || self.kinds.values().flat_map(|state| state.bad.values());
        let notes = bad().map(Bad::note).collect();
        Snapshot { objects: self.believed().into(), synced, whole: synced, notes, ..Snapshot::default() }
    }

    /// The objects without addresses that an agent cannot announce: a pod's lie in the pod CIDRs of its node. (Whoever may
    /// write a pod's annotations might else take any address of the cluster for it.)
    fn believed(&self) -> Objects {
        let mut objects = self.objects.clone();
        for name in &self.disbelieved {
            let Some(pod) = self.objects.pods.get(name) else { continue };
            let nowhere = Pod { ips: Vec::new(), announced: false, ..Pod::clone(pod) };
            objects.pods.insert(name.clone(), Arc::new(nowhere));
        }
        objects
    }

    fn judge_all(&mut self) {
        self.disbelieved.clear();
        for name in self.announced.clone() {
            self.judge(&name);
        }
    }

    fn judge(&mut self, name: &ObjectName) {
        let Some(pod) = self.objects.pods.get(name) else { return };
        let node = pod.node.as_ref().and_then(|node| self.objects.nodes.get(node));
        let own = |ip| node.is_some_and(|node| node.pod_cidrs.iter().any(|cidr| cidr.contains(ip)));
        if !pod.ips.iter().all(|ip| own(*ip)) {
            self.disbelieved.insert(name.clone());
        }
    }
}

impl Bad {
    fn note(&self) -> Note {
        Note {
            level: Level::Error,
            file: SOURCE.to_owned(),
            line: None,
            object: Some(self.identity.clone()),
            message: format!("{}; correct it, until then {}", self.error, self.stands.words()),
        }
    }
}

/// Whether what is in force of an object, if anything is, was read from it.
fn had_good_state(bad: &BTreeMap<ObjectName, Bad>, name: &ObjectName) -> bool {
    bad.get(name).is_none_or(|bad| bad.stands == Stands::Known)
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
