//! Addresses that go from one pod to another in one moment: the maps of peers show no gap in which their flows would go.

use std::{collections::BTreeSet, net::IpAddr};

use ferrule_model::{
    objects::{Objects, Pod},
    policy::Change,
};

/// Addresses that a changed pod lost and another one got.
pub(super) fn addresses(before: &Objects, changes: &[Change]) -> BTreeSet<IpAddr> {
    let (mut lost, mut got) = (BTreeSet::new(), BTreeSet::new());
    for change in changes {
        let Change::Pod(name, now) = change else { continue };
        let was = before.pods.get(name).map(|pod| &**pod);
        let now = now.as_deref();
        match (was, now) {
            (Some(was), Some(now)) if is_same(was, now) => {
                lost.extend(held(was).filter(|ip| !held(now).any(|other| other == *ip)));
                got.extend(held(now).filter(|ip| !held(was).any(|other| other == *ip)));
            }
            _ => {
                lost.extend(was.into_iter().flat_map(held));
                got.extend(now.into_iter().flat_map(held));
            }
        }
    }
    lost.intersection(&got).copied().collect()
}

/// The addresses that a pod sends from.
fn held(pod: &Pod) -> impl Iterator<Item = IpAddr> {
    pod.ips.iter().copied().filter(|_| pod.is_networked())
}

fn is_same(a: &Pod, b: &Pod) -> bool {
    a.uid == b.uid && a.node == b.node
}
