//! Terms: what a rule can ask of a peer. Equal ones of different policies are one.

use std::{net::IpAddr, sync::Arc};

use ipnetwork::IpNetwork;

use super::port::PortName;
use crate::{
    cidr::{self, Family},
    objects::{IpBlock, PolicyPeer},
    selector::{Labels, Selector, Test},
};

/// The label that every namespace has, with its name
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name>).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What a rule asks of a peer that not everyone fulfils.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Term {
    pub(super) peers: Peers,
    /// An egress rule's named port: the peer must be a pod that has it.
    pub(super) port: Option<PortName>,
}

/// A set of peers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Peers {
    /// Every pod; only with a port, since the wildcard class stands for it otherwise.
    AnyPod,
    /// Pods of one namespace.
    Own { namespace: Arc<str>, pods: Selector },
    /// Pods of namespaces with some labels.
    Matching { namespaces: Selector, pods: Selector },
    /// Addresses, pods' or not.
    Block(Block),
}

/// Addresses of a CIDR that none of the excepted ones hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Block {
    pub(super) cidr: IpNetwork,
    /// Sorted by family and address; disjoint.
    pub(super) except: Box<[IpNetwork]>,
}

/// The peers of a rule's entry; `None` for every pod of every namespace.
pub(super) fn peers(namespace: &Arc<str>, entry: &PolicyPeer) -> Option<Peers> {
    Some(match entry {
        PolicyPeer::Pods { namespaces: None, pods } => Peers::Own { namespace: namespace.clone(), pods: pods.clone() },
        PolicyPeer::Pods { namespaces: Some(all), pods }
            if all.requirements().is_empty() && pods.requirements().is_empty() =>
        {
            return None;
        }
        PolicyPeer::Pods { namespaces: Some(namespaces), pods } => {
            Peers::Matching { namespaces: namespaces.clone(), pods: pods.clone() }
        }
        PolicyPeer::Block(block) => Peers::Block(Block::of(block)),
    })
}

impl Block {
    fn of(block: &IpBlock) -> Self {
        let whole = cidr::normalised(block.cidr);
        let mut except: Vec<IpNetwork> = block.except.iter().copied().map(cidr::normalised).collect();
        except.retain(|part| cidr::overlap(whole, *part));
        // An exception within another one says nothing: what is left is disjoint, so that one look finds the only candidate.
        except.sort_unstable_by_key(|part| (Family::of_net(*part), cidr::number(part.network()), part.prefix()));
        except.dedup_by(|inner, outer| holds(*outer, *inner));
        Self { cidr: whole, except: except.into() }
    }

    /// Whether an address is in it. Families are apart: `::/0` holds no IPv4 address.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.cidr.contains(address) && !self.exception(address).is_some_and(|part| part.contains(address))
    }

    /// The last exception that begins at an address or before it: the only one that can hold it.
    fn exception(&self, address: IpAddr) -> Option<IpNetwork> {
        let at = (Family::of(address), cidr::number(address));
        let begun = self.except.partition_point(|part| (Family::of_net(*part), cidr::number(part.network())) <= at);
        begun.checked_sub(1).map(|last| self.except[last])
    }

    /// Whether all of a prefix is in it, as far as no longer prefix of a boundary says otherwise.
    pub(super) fn covers(&self, prefix: IpNetwork) -> bool {
        holds(self.cidr, prefix) && !self.exception(prefix.network()).is_some_and(|part| holds(part, prefix))
    }

    /// The prefixes where it begins or ends.
    pub(super) fn boundaries(&self) -> impl Iterator<Item = IpNetwork> + '_ {
        let inner = self.except.iter().copied().filter(|part| *part != self.cidr && holds(self.cidr, *part));
        std::iter::once(self.cidr).chain(inner)
    }
}

/// Whether `outer` holds every address of `inner`.
fn holds(outer: IpNetwork, inner: IpNetwork) -> bool {
    Family::of_net(outer) == Family::of_net(inner)
        && outer.prefix() <= inner.prefix()
        && outer.contains(inner.network())
}

/// What is known of a namespace. Of one without an object that is its name alone: only a selector that asks for it, or
/// for nothing, is fulfilled, and nothing is concluded from labels that seem to be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamespaceLabels {
    labels: Labels,
    known: bool,
}

impl NamespaceLabels {
    pub(super) fn known(name: &str, labels: &Labels) -> Self {
        if labels.get(NAME_LABEL).is_some() {
            return Self { labels: labels.clone(), known: true };
        }
        Self { labels: labels.iter().chain([(NAME_LABEL, name)]).collect(), known: true }
    }

    pub(super) fn unknown(name: &str) -> Self {
        Self { labels: [(NAME_LABEL, name)].into_iter().collect(), known: false }
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(super) fn fulfil(&self, selector: &Selector) -> bool {
        let asked = selector.requirements();
        let positive = |test: &Test| matches!(test, Test::In(_) | Test::Exists);
        let by_name = || {
            asked.iter().all(|one| one.key == NAME_LABEL)
                && (asked.is_empty() || asked.iter().any(|one| positive(&one.test)))
        };
        selector.matches(&self.labels) && (self.known || by_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Requirement;

    fn check(test: Test, key: &str, known: Option<&[(&str, &str)]>, expected: bool) {
        let selector = Selector::new(vec![Requirement { key: key.into(), test }]);
        let labels = match known {
            Some(labels) => NamespaceLabels::known("shop", &labels.iter().copied().collect()),
            None => NamespaceLabels::unknown("shop"),
        };
        assert_eq!(labels.fulfil(&selector), expected, "{selector:?} {labels:?}");
    }

    #[test]
    fn a_namespace_has_its_name_as_a_label_also_where_its_object_lacks_it() {
        check(Test::In(vec!["shop".into()]), NAME_LABEL, Some(&[]), true);
        check(Test::In(vec!["shop".into()]), NAME_LABEL, None, true);
        check(Test::NotIn(vec!["shop".into()]), NAME_LABEL, Some(&[]), false);
    }

    #[test]
    fn a_namespace_without_an_object_fulfils_nothing_that_is_negative() {
        check(Test::NotIn(vec!["prod".into()]), "stage", Some(&[]), true);
        check(Test::NotIn(vec!["prod".into()]), "stage", None, false);
        check(Test::DoesNotExist, "stage", Some(&[]), true);
        check(Test::DoesNotExist, "stage", None, false);
    }
}
