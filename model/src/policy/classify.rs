//! Which class each address and each prefix has, from the terms that live tables ask for.

use std::net::IpAddr;

use super::{
    addresses::Held,
    classes::ANY_POD,
    engine::{Engine, touch},
    space::Dirty,
    term::{NamespaceLabels, Peers},
};

impl Engine {
    /// Gives everything that was touched its class.
    pub(super) fn classify(&mut self, dirty: &mut Dirty) {
        for term in std::mem::take(&mut dirty.terms) {
            if let Peers::Block(block) = &term.peers {
                let within = self.space.addresses.within(block.cidr);
                dirty.addresses.extend(within.filter(|address| block.contains(*address)));
                continue;
            }
            let fulfils = |name: &_, selector: &_| self.labels_of(name).fulfil(selector);
            for pod in self.pods.candidates(&term.peers, fulfils) {
                let among = match &term.peers {
                    Peers::AnyPod => term.port.as_ref().is_none_or(|port| port.of(&pod).next().is_some()),
                    Peers::Own { namespace, pods } => *namespace == pod.name.namespace && pods.matches(&pod.labels),
                    Peers::Matching { pods, .. } => pods.matches(&pod.labels),
                    Peers::Block(_) => true,
                };
                if among {
                    touch(&pod, &self.locals, dirty);
                }
            }
        }
        self.space.classify_blocks();
        for address in std::mem::take(&mut dirty.addresses) {
            self.classify_address(address, dirty);
        }
        for class in self.space.classes.unwanted() {
            self.space.drop_class(class);
        }
    }

    fn classify_address(&mut self, address: IpAddr, dirty: &mut Dirty) {
        self.left_out.remove(&address);
        let room = self.space.addresses.len() <= self.limits.addresses;
        let entry = match self.space.addresses.claimed(address) {
            Ok(entry) => entry,
            Err(held) => {
                dirty.before.entry(address).or_insert(held);
                self.freed += u64::from(held.is_some());
                held.into_iter().for_each(|held| self.space.classes.let_go(held.class, self.space.round));
                return;
            }
        };
        if entry.held.is_none() && !room {
            self.left_out.insert(address);
            self.left_at = self.freed;
            return;
        }
        let owner = match entry.endpoint {
            0 => entry.owner(),
            index => self.locals.pod(index, &self.pods),
        };
        let pod = owner.filter(|pod| pod.is_networked()).cloned();
        let mut facts = self.space.blocks.at(address).map_or(vec![], |boundary| boundary.facts.clone());
        if let Some(pod) = &pod {
            let unknown;
            let namespace = match self.namespaces.get(&pod.name.namespace) {
                Some(labels) => labels,
                None => {
                    unknown = NamespaceLabels::unknown(&pod.name.namespace);
                    &unknown
                }
            };
            self.space.terms.of_pod(pod, address, namespace, &mut facts);
        }
        let class = self.space.class(&mut facts, pod.is_some());
        self.space.hold(address, Some(Held { class, pod: pod.is_some() }), dirty);
    }

    /// No new class fits: peers keep what is as good as what they should have, or else lose what only a new class would
    /// give them.
    pub(super) fn leave_out(&mut self, dirty: &mut Dirty) {
        self.left_at = self.freed;
        for at in self.space.blocks.touched() {
            let Some(now) = self.space.blocks.get(at).and_then(|boundary| boundary.class) else { continue };
            if let Some(before) = self.space.blocks.before(at).filter(|_| !self.space.classes.is_written(now)) {
                self.space.classes.hold(before);
                self.space.classes.let_go(now, self.space.round);
                if let Some(boundary) = self.space.blocks.get_mut(at) {
                    boundary.class = Some(before);
                }
                self.retry_blocks.push(at);
            }
        }
        let touched: Vec<_> = dirty.before.iter().map(|(address, held)| (*address, *held)).collect();
        for (address, before) in touched {
            let Some(now) = self.space.addresses.get(address).and_then(|entry| entry.held) else { continue };
            if self.space.classes.is_written(now.class) {
                continue;
            }
            let facts = self.space.classes.facts(now.class);
            let as_good = before.filter(|old| old.pod == now.pod && *self.space.live_facts(old.class) == **facts);
            let bare = self.space.blocks.at(address).and_then(|boundary| boundary.class).filter(|class| *class != 0);
            let class = bare.unwrap_or(if now.pod { ANY_POD } else { 0 });
            self.space.hold(address, Some(as_good.unwrap_or(Held { class, pod: now.pod })), dirty);
            self.left_out.insert(address);
        }
        for class in self.space.classes.unwanted() {
            self.space.drop_class(class);
        }
    }
}
