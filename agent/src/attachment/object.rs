//! The Pod object of a pod that is added: its policies are known when it and its namespace are.

use std::time::Instant;

use ferrule_api::plugin::PodRef;
use ferrule_model::objects::{ObjectName, Objects};

use super::{AttachmentError, Attachments, reserve::PATIENCE};

impl Attachments {
    /// Waits until the source has the pod's object and its namespace, where that is asked for. A pod that the runtime does
    /// not name has none to wait for.
    ///
    /// # Errors
    /// What is missing when the time is up, which began at `since`.
    pub(super) async fn object_known(&self, pod: Option<&PodRef>, since: Instant) -> Result<(), AttachmentError> {
        let Some(pod) = pod.filter(|_| self.require_pod_object) else { return Ok(()) };
        let mut store = self.store.clone();
        let waiting = async {
            while missing(&store.snapshot().objects, pod).is_some() {
                if !store.changed().await {
                    return;
                }
            }
        };
        // What is missing is looked up once more: the time may be up as it comes.
        let _ = tokio::time::timeout(PATIENCE.saturating_sub(since.elapsed()), waiting).await;
        match missing(&self.store.clone().snapshot().objects, pod) {
            None => Ok(()),
            Some(missing) => Err(AttachmentError::NoObject { missing, seconds: since.elapsed().as_secs() }),
        }
    }
}

/// What the source does not have yet of a pod, in words.
fn missing(objects: &Objects, pod: &PodRef) -> Option<String> {
    let name = ObjectName::new(pod.namespace.as_str(), pod.name.as_str());
    let wanted = pod.uid.as_deref().unwrap_or_default();
    match objects.pods.get(&name) {
        None => Some(format!("Pod {name}")),
        // One of this name that came before, or after: a StatefulSet's pods have one name.
        Some(found) if !found.has_uid(wanted) => {
            Some(format!("Pod {name} with uid {wanted} (its uid is {})", found.uid))
        }
        Some(_) if !objects.namespaces.contains_key(&*name.namespace) => Some(format!("Namespace {}", name.namespace)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use ferrule_model::testing::text;

    use super::*;

    fn check(cluster: &str, uid: &str, expected: Option<&str>) {
        let objects = text::cluster(cluster).objects;
        let uid = Some(uid.to_owned()).filter(|uid| !uid.is_empty());
        let pod = PodRef { namespace: "shop".into(), name: "web".into(), uid };
        assert_eq!(missing(&objects, &pod).as_deref(), expected, "{cluster:?}");
    }

    #[test]
    fn a_pod_is_known_by_its_object_and_its_namespace() {
        check("", "u1", Some("Pod shop/web"));
        check("namespace shop", "u1", Some("Pod shop/web"));
        check("pod shop/web a 10.1.0.1 uid:u1", "u1", Some("Namespace shop"));
        check("namespace shop\npod shop/web a 10.1.0.1 uid:u1", "u1", None);
        check("namespace shop\npod shop/web a 10.1.0.1 uid:u1", "", None);
    }

    #[test]
    fn a_pod_of_the_same_name_is_another_pod() {
        let one = "namespace shop\npod shop/web a 10.1.0.1 uid:u1";
        check(one, "u2", Some("Pod shop/web with uid u2 (its uid is u1)"));
    }

    #[test]
    fn a_static_pod_is_known_by_its_mirror() {
        let one = "namespace shop\npod shop/web a 10.1.0.1 uid:u1 static:hash";
        check(one, "hash", None);
        check(one, "other", Some("Pod shop/web with uid other (its uid is u1)"));
    }
}
