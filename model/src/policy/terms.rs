//! The terms that live tables ask for, who asks for each, and the facts about peers that follow from them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    index::SelectorIndex,
    slab::Slab,
    term::{NamespaceLabels, Peers, Term},
};
use crate::objects::Pod;

/// A term that some live table asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) term: Arc<Term>,
    /// The tables that ask for it; none: it is forgotten as soon as no class holds a fact of it.
    pub(super) tables: Vec<u32>,
    /// Its facts, by the peer's port number where it names a port.
    facts: Vec<(Option<u16>, u32)>,
}

/// What holds for some peers: they fulfil a term.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) term: u32,
    /// What the peer's port of the term's name is.
    pub(super) port: Option<u16>,
    /// The classes that hold it.
    pub(super) classes: BTreeSet<u32>,
}

/// The terms of all live tables.
#[derive(Debug, Default)]
pub(super) struct Terms {
    ids: HashMap<Arc<Term>, u32>,
    terms: Slab<Asked>,
    facts: Slab<Fact>,
    own: HashMap<Arc<str>, SelectorIndex>,
    by_pod: SelectorIndex,
    by_namespace: SelectorIndex,
    /// Terms of any pod's named port, and of named ports of pods within a block.
    ported: Vec<u32>,
}

impl Terms {
    /// Notes that a table asks for a term; whether it is the first that does.
    pub(super) fn ask(&mut self, term: &Arc<Term>, table: u32) -> (u32, bool) {
        if let Some(&id) = self.ids.get(term) {
            if let Some(asked) = self.terms.get_mut(id)
                && asked.tables.last() != Some(&table)
            {
                asked.tables.push(table);
            }
            return (id, false);
        }
        let id = self.terms.insert(Asked { term: term.clone(), tables: vec![table], facts: vec![] });
        self.ids.insert(term.clone(), id);
        self.file(term, |index, selector| index.insert(selector, id));
        if is_ported(term) {
            self.ported.push(id);
        }
        (id, true)
    }

    /// A table asks no more; the term, if it was the last one that did.
    pub(super) fn forget(&mut self, id: u32, table: u32) -> Option<Arc<Term>> {
        let asked = self.terms.get_mut(id)?;
        asked.tables.retain(|other| *other != table);
        if !asked.tables.is_empty() {
            return None;
        }
        let term = asked.term.clone();
        let facts: Vec<u32> = asked.facts.iter().map(|(_, fact)| *fact).collect();
        self.ids.remove(&term);
        self.file(&term, |index, selector| index.remove(selector, id));
        self.ported.retain(|other| *other != id);
        if facts.is_empty() {
            self.terms.remove(id);
        }
        facts.into_iter().for_each(|fact| self.sweep(fact));
        Some(term)
    }

    fn file(&mut self, term: &Term, edit: impl FnOnce(&mut SelectorIndex, &crate::selector::Selector)) {
        match &term.peers {
            Peers::AnyPod | Peers::Block(_) => {}
            Peers::Own { namespace, pods } => {
                let index = self.own.entry(namespace.clone()).or_default();
                edit(index, pods);
                if index.is_empty() {
                    self.own.remove(namespace);
                }
            }
            Peers::Matching { namespaces, pods } => match super::index::narrowest(pods) {
                Some(_) => edit(&mut self.by_pod, pods),
                None => edit(&mut self.by_namespace, namespaces),
            },
        }
    }

    pub(super) fn get(&self, id: u32) -> Option<&Asked> {
        self.terms.get(id)
    }

    pub(super) fn fact(&self, id: u32) -> Option<&Fact> {
        self.facts.get(id)
    }

    /// The tables that tell who has a fact.
    pub(super) fn tables_of(&self, fact: u32) -> &[u32] {
        let asked = self.fact(fact).and_then(|fact| self.get(fact.term));
        asked.map_or(&[], |asked| &asked.tables)
    }

    /// The facts of a term, by port number.
    pub(super) fn facts_of(&self, term: u32) -> impl Iterator<Item = &Fact> {
        let facts = self.get(term).into_iter().flat_map(|asked| &asked.facts);
        facts.filter_map(|(_, fact)| self.facts.get(*fact))
    }

    /// Terms that ask for a namespace's labels.
    pub(super) fn of_namespaces(&self) -> impl Iterator<Item = &Arc<Term>> {
        self.ids.keys().filter(|term| matches!(term.peers, Peers::Matching { .. }))
    }

    /// The fact that a peer fulfils a term.
    pub(super) fn intern(&mut self, term: u32, port: Option<u16>) -> Option<u32> {
        let asked = self.terms.get_mut(term)?;
        if let Some((_, fact)) = asked.facts.iter().find(|(other, _)| *other == port) {
            return Some(*fact);
        }
        let fact = self.facts.insert(Fact { term, port, classes: BTreeSet::new() });
        asked.facts.push((port, fact));
        Some(fact)
    }

    /// Adds what holds for a pod by its labels, namespace and ports. `address` is one of its own: a port's term may ask
    /// for a block.
    pub(super) fn of_pod(
        &mut self,
        pod: &Pod,
        address: std::net::IpAddr,
        namespace: &NamespaceLabels,
        facts: &mut Vec<u32>,
    ) {
        let own = self.own.get(&pod.name.namespace).into_iter().flat_map(|index| index.candidates(&pod.labels));
        let mut candidates: Vec<u32> = own.chain(self.by_pod.candidates(&pod.labels)).collect();
        candidates.extend(self.by_namespace.candidates(namespace.labels()));
        candidates.extend(&self.ported);
        candidates.sort_unstable();
        candidates.dedup();
        for id in candidates {
            let Some(term) = self.terms.get(id).map(|asked| asked.term.clone()) else { continue };
            if !fulfils(&term.peers, pod, address, namespace) {
                continue;
            }
            match &term.port {
                None => facts.extend(self.intern(id, None)),
                Some(name) => facts.extend(name.of(pod).filter_map(|port| self.intern(id, Some(port)))),
            }
        }
    }

    /// Notes that a new class holds facts.
    pub(super) fn enter(&mut self, class: u32, facts: &[u32]) {
        for fact in facts {
            if let Some(fact) = self.facts.get_mut(*fact) {
                fact.classes.insert(class);
            }
        }
    }

    /// Notes that a class is gone.
    pub(super) fn leave(&mut self, class: u32, facts: &[u32]) {
        for id in facts {
            if let Some(fact) = self.facts.get_mut(*id) {
                fact.classes.remove(&class);
            }
            self.sweep(*id);
        }
    }

    /// Forgets a fact that no class holds, and its term if nothing asks for it.
    fn sweep(&mut self, id: u32) {
        let Some(fact) = self.facts.get(id).filter(|fact| fact.classes.is_empty()) else { return };
        let term = fact.term;
        self.facts.remove(id);
        if let Some(asked) = self.terms.get_mut(term) {
            asked.facts.retain(|(_, other)| *other != id);
            if asked.facts.is_empty() && asked.tables.is_empty() {
                self.terms.remove(term);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// Whether a term's pods are found by no selector.
fn is_ported(term: &Term) -> bool {
    term.port.is_some() && matches!(term.peers, Peers::AnyPod | Peers::Block(_))
}

fn fulfils(peers: &Peers, pod: &Pod, address: std::net::IpAddr, namespace: &NamespaceLabels) -> bool {
    match peers {
        Peers::AnyPod => true,
        Peers::Own { namespace, pods } => pod.name.namespace == *namespace && pods.matches(&pod.labels),
        Peers::Matching { namespaces, pods } => pods.matches(&pod.labels) && namespace.fulfil(namespaces),
        Peers::Block(block) => block.contains(address),
    }
}
