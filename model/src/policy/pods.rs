//! All pods, by name; and by label and namespace while some policy asks.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    index::{label, narrowest},
    term::Peers,
};
use crate::{
    objects::{ObjectName, Pod},
    selector::Selector,
};

/// A pod that is found by its name: eight bytes a pod while nothing asks for more.
#[derive(Debug)]
struct Named(Arc<Pod>);

impl Borrow<ObjectName> for Named {
    fn borrow(&self) -> &ObjectName {
        &self.0.name
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Named {}

impl PartialOrd for Named {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Named {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.name.cmp(&other.0.name)
    }
}

/// All pods.
#[derive(Debug, Default)]
pub(super) struct Pods {
    by_name: BTreeSet<Named>,
    asked: Option<Asked>,
}

/// What finds pods by what selectors say.
#[derive(Debug, Default)]
struct Asked {
    by_label: HashMap<u64, Vec<Arc<Pod>>>,
    /// How many pods each namespace has.
    sizes: HashMap<Arc<str>, usize>,
}

impl Asked {
    fn insert(&mut self, pod: &Arc<Pod>) {
        for (key, value) in pod.labels.iter() {
            self.by_label.entry(label(key, value)).or_default().push(pod.clone());
        }
        *self.sizes.entry(pod.name.namespace.clone()).or_default() += 1;
    }

    fn remove(&mut self, pod: &Arc<Pod>) {
        for (key, value) in pod.labels.iter() {
            let hash = label(key, value);
            let Some(pods) = self.by_label.get_mut(&hash) else { continue };
            if let Some(at) = pods.iter().position(|other| Arc::ptr_eq(other, pod)) {
                pods.swap_remove(at);
            }
            if pods.is_empty() {
                self.by_label.remove(&hash);
            }
        }
        if let Some(size) = self.sizes.get_mut(&pod.name.namespace) {
            *size -= 1;
            if *size == 0 {
                self.sizes.remove(&pod.name.namespace);
            }
        }
    }

    /// Every pod with a label that the selector's narrowest `In` names, and how many they are.
    fn labelled<'a>(&'a self, selector: &'a Selector) -> Option<(usize, impl Iterator<Item = &'a Arc<Pod>>)> {
        let (key, values) = narrowest(selector)?;
        let lists = move || values.iter().filter_map(move |value| self.by_label.get(&label(key, value)));
        Some((lists().map(Vec::len).sum(), lists().flatten()))
    }
}

impl Pods {
    pub(super) fn get(&self, name: &ObjectName) -> Option<&Arc<Pod>> {
        self.by_name.get(name).map(|named| &named.0)
    }

    /// Sets or removes a pod; returns the one before.
    pub(super) fn set(&mut self, name: &ObjectName, pod: Option<Arc<Pod>>) -> Option<Arc<Pod>> {
        let before = self.by_name.take(name).map(|named| named.0);
        if let (Some(asked), Some(pod)) = (&mut self.asked, &before) {
            asked.remove(pod);
        }
        if let Some(pod) = pod {
            if let Some(asked) = &mut self.asked {
                asked.insert(&pod);
            }
            self.by_name.insert(Named(pod));
        }
        before
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.by_name.iter().map(|named| &named.0)
    }

    /// Starts or stops to file pods under their labels.
    pub(super) fn ask(&mut self, asked: bool) {
        self.asked = asked.then(|| {
            let mut asked = Asked::default();
            self.iter().for_each(|pod| asked.insert(pod));
            asked
        });
    }

    pub(super) fn in_namespace<'a>(&'a self, namespace: &'a Arc<str>) -> impl Iterator<Item = &'a Arc<Pod>> {
        let first = ObjectName::new(namespace.clone(), "");
        let pods = self.by_name.range(first..).map(|named| &named.0);
        pods.take_while(move |pod| pod.name.namespace == *namespace)
    }

    /// Every pod that can be among some peers, and some that are not. `fulfils` says which namespaces are asked for.
    pub(super) fn candidates(&self, peers: &Peers, fulfils: impl Fn(&Arc<str>, &Selector) -> bool) -> Vec<Arc<Pod>> {
        let Some(asked) = &self.asked else { return vec![] };
        let (namespaces, pods): (Vec<&Arc<str>>, &Selector) = match peers {
            Peers::AnyPod | Peers::Block(_) => return self.iter().cloned().collect(),
            Peers::Own { namespace, pods } => (vec![namespace], pods),
            Peers::Matching { namespaces, pods } => {
                (asked.sizes.keys().filter(|name| fulfils(name, namespaces)).collect(), pods)
            }
        };
        let within: usize = namespaces.iter().filter_map(|name| asked.sizes.get(*name)).sum();
        match asked.labelled(pods) {
            Some((count, labelled)) if count <= within => labelled.cloned().collect(),
            _ => namespaces.into_iter().flat_map(|name| self.in_namespace(name)).cloned().collect(),
        }
    }
}
