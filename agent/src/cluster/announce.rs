//! Pods' addresses, announced in an annotation of their objects from ADD to DEL (see [`ferrule_source::announce`]).
//!
//! ```text
//! leases, Pod objects ─▶ wanted ─▶ what differs from what was told ─▶ a patch of pods/status each
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use ferrule_api::chain::chain;
use ferrule_model::objects::{self as model, DiffItem, ObjectName, Objects};
use ferrule_source::{announce, store::Reader};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::{Cluster, pauses};
use crate::{attachment::Attachments, lease::Lease};

/// One pod of this node: its name, and its object's uid.
type Own = (ObjectName, String);

/// What an annotation should say.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    value: String,
    /// The object's status says the same.
    posted: bool,
}

/// How many patches may be on their way.
const AT_ONCE: usize = 16;

pub(super) async fn run(cluster: Cluster, attachments: Arc<Attachments>, mut store: Reader) {
    let mut leases = attachments.lease_changes();
    let mut told: HashMap<Own, Option<String>> = HashMap::new();
    let mut patches: JoinSet<Own> = JoinSet::new();
    let mut busy: BTreeSet<Own> = BTreeSet::new();
    // What was looked at last; other nodes' pods change all the time, and are nothing to this node's.
    let mut seen: Option<Arc<Objects>> = None;
    let mut look = true;
    loop {
        let snapshot = store.snapshot();
        leases.borrow_and_update();
        let node = cluster.node_name.as_str();
        look |= seen.as_ref().is_none_or(|seen| concern(node, seen, &snapshot.objects));
        if snapshot.synced && look {
            if seen.is_none() {
                told.extend(announced(node, &snapshot.objects));
            }
            let wanted = wanted(&attachments.leases(), &snapshot.objects);
            // Those that have gone with their object need no word any more.
            told.retain(|own, _| wanted.contains_key(own) || has(&snapshot.objects, own));
            let gone = told.iter().filter(|(own, said)| said.is_some() && !wanted.contains_key(*own));
            let gone: Vec<_> = gone.map(|(own, _)| (own.clone(), None)).collect();
            // What its kubelet has posted needs no announcement.
            let unposted = wanted.into_iter().filter(|(_, wanted)| !wanted.posted);
            for (own, value) in unposted.map(|(own, wanted)| (own, Some(wanted.value))).chain(gone) {
                if patches.len() >= AT_ONCE {
                    break;
                }
                if told.get(&own) == Some(&value) || busy.contains(&own) {
                    continue;
                }
                told.insert(own.clone(), value.clone());
                busy.insert(own.clone());
                patches.spawn(tell(cluster.clone(), own, value));
            }
        }
        if snapshot.synced {
            seen = Some(Arc::clone(&snapshot.objects));
        }
        look = tokio::select! {
            more = store.changed() => if more { false } else { return },
            more = leases.changed() => if more.is_ok() { true } else { return },
            Some(Ok(own)) = patches.join_next() => {
                busy.remove(&own);
                true
            }
        }
    }
}

/// Whether the changes between two snapshots are of this node's pods.
fn concern(node: &str, before: &Objects, now: &Objects) -> bool {
    let own = |pod: &model::Pod| pod.node.as_deref() == Some(node);
    before.pods.diff(&now.pods).any(|change| match change {
        DiffItem::Add(_, pod) | DiffItem::Remove(_, pod) => own(pod),
        DiffItem::Update { old: (_, old), new: (_, new) } => own(old) || own(new),
    })
}

/// What a former agent of this node announced, and nobody has posted yet.
fn announced(node: &str, objects: &Objects) -> impl Iterator<Item = (Own, Option<String>)> {
    let own = objects.pods.iter().filter(move |(_, pod)| pod.announced && pod.node.as_deref() == Some(node));
    own.map(|(name, pod)| ((name.clone(), pod.uid.clone()), Some(announce::format(&pod.uid, &pod.ips))))
}

/// What each pod of this node that has a lease and an object should have for an annotation: of several sandboxes of one
/// pod, the youngest one's addresses.
fn wanted(leases: &[Arc<Lease>], objects: &Objects) -> BTreeMap<Own, Wanted> {
    let mut youngest: BTreeMap<Own, &Lease> = BTreeMap::new();
    for lease in leases {
        let Some(pod) = &lease.pod else { continue };
        let name = ObjectName::new(pod.namespace.as_str(), pod.name.as_str());
        let Some(object) = objects.pods.get(&name).filter(|object| object.is_networked()) else { continue };
        if object.uid.is_empty() || !object.has_uid(pod.uid.as_deref().unwrap_or_default()) {
            continue;
        }
        let found = youngest.entry((name, object.uid.clone())).or_insert(lease);
        if lease.created_ms > found.created_ms {
            *found = lease;
        }
    }
    let announcement = |(own, lease): (Own, &Lease)| {
        let object = objects.pods.get(&own.0);
        let posts = |ip| object.is_some_and(|pod| !pod.announced && pod.ips.contains(ip));
        let posted = lease.addresses.iter().all(posts);
        let value = announce::format(&own.1, &lease.addresses);
        (own, Wanted { value, posted })
    };
    youngest.into_iter().map(announcement).collect()
}

fn has(objects: &Objects, (name, uid): &Own) -> bool {
    objects.pods.get(name).is_some_and(|pod| pod.uid == *uid)
}

/// Patches until the API server takes it, or there is no such pod any more.
async fn tell(cluster: Cluster, own: Own, value: Option<String>) -> Own {
    let (name, uid) = &own;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &name.namespace);
    for pause in pauses() {
        let patch = Patch::Merge(patch(uid, value.as_deref()));
        let answer = pods.patch_status(&name.name, &PatchParams::default(), &patch).await;
        // Gone, or another one of the same name.
        let needless = matches!(&answer, Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409));
        cluster.health.told("pods/status", answer.as_ref().err().filter(|_| !needless));
        match answer {
            Ok(_) => break,
            Err(_) if needless => break,
            Err(error) => {
                tracing::warn!(pod = %name, error = chain(&error), "a pod's addresses cannot be announced; tried again");
                tokio::time::sleep(pause).await;
            }
        }
    }
    own
}

/// The uid is what makes it another pod's business: the API server refuses one that differs.
fn patch(uid: &str, value: Option<&str>) -> Value {
    json!({"metadata": {"uid": uid, "annotations": {announce::ANNOTATION: value}}})
}

#[cfg(test)]
mod tests {
    use ferrule_api::plugin::{AttachmentId, PodRef};
    use ferrule_model::testing::text;

    use super::*;

    fn lease(container: &str, name: &str, uid: &str, ip: &str, created_ms: u64) -> Arc<Lease> {
        let record = json!({
            "container_id": container, "ifname": "eth0", "netns": "/n", "boot_id": "b", "network": "ferrule",
            "addresses": [ip], "pod_mac": "0a:00:00:00:00:01", "host_mac": "0a:00:00:00:00:02", "host_ifname": "fr0",
            "mtu": 1450, "state": "active", "endpoint_index": 1, "created_ms": created_ms,
        });
        let mut lease: Lease = serde_json::from_value(record).unwrap();
        lease.pod = Some(PodRef { namespace: "shop".into(), name: name.into(), uid: Some(uid.into()) });
        assert_eq!(lease.id, AttachmentId { container_id: container.into(), ifname: "eth0".into() });
        lease.into()
    }

    fn check(pods: &str, leases: &[Arc<Lease>], expected: &[&str]) {
        let objects = text::cluster(pods).objects;
        let shown = wanted(leases, &objects).into_iter().map(|((name, uid), wanted)| {
            format!("{name} {uid}: {}{}", wanted.value, if wanted.posted { " posted" } else { "" })
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{pods}");
    }

    #[test]
    fn a_pod_is_announced_until_its_kubelet_has_posted_it() {
        let own = [lease("c1", "web", "u1", "10.1.0.5", 1)];
        check("pod shop/web a - uid:u1", &own, &["shop/web u1: u1/10.1.0.5"]);
        check("pod shop/web a 10.1.0.5 uid:u1", &own, &["shop/web u1: u1/10.1.0.5 posted"]);
        check("pod shop/web a 10.1.0.4 uid:u1", &own, &["shop/web u1: u1/10.1.0.5"]);
    }

    #[test]
    fn a_lease_speaks_for_its_own_pod_alone() {
        let own = [lease("c1", "web", "u1", "10.1.0.5", 1)];
        check("pod shop/web a - uid:u2", &own, &[]);
        check("pod shop/web a - uid:u2 static:u1", &own, &["shop/web u2: u2/10.1.0.5"]);
        check("pod shop/web a - uid:u1 host", &own, &[]);
        check("pod shop/web a - uid:u1 ended", &own, &[]);
        check("", &own, &[]);
    }

    #[test]
    fn other_nodes_pods_are_no_reason_to_look() {
        let objects = |text: &str| text::cluster(text).objects;
        let (own, other) = ("pod shop/web a 10.1.0.5", "pod shop/app b 10.1.0.6");
        let before = objects(&format!("{own}\n{other}"));
        assert!(!concern("a", &before, &before));
        assert!(!concern("a", &before, &objects(own)));
        assert!(!concern("a", &before, &objects(&format!("{own}\n{other} x=y"))));
        assert!(concern("a", &before, &objects(other)));
        assert!(concern("a", &before, &objects(&format!("{own} x=y\n{other}"))));
        assert!(concern("a", &before, &objects(&format!("{own}\n{}", other.replace(" b ", " a ")))));
    }

    #[test]
    fn what_a_former_agent_announced_is_this_ones_to_withdraw() {
        let pods = "pod shop/web a 10.1.0.5 uid:u1 announced\npod shop/app a 10.1.0.6 uid:u2\n\
                    pod shop/db b 10.1.0.7 uid:u3 announced";
        let found: Vec<_> = announced("a", &text::cluster(pods).objects).collect();
        let own = (ObjectName::new("shop", "web"), "u1".to_owned());
        assert_eq!(found, [(own, Some("u1/10.1.0.5".to_owned()))]);
    }

    #[test]
    fn of_two_sandboxes_the_younger_one_counts() {
        let own = [lease("c2", "web", "u1", "10.1.0.6", 2), lease("c1", "web", "u1", "10.1.0.5", 1)];
        check("pod shop/web a - uid:u1", &own, &["shop/web u1: u1/10.1.0.6"]);
    }
}
