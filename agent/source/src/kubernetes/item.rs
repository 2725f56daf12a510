//! An object as the API server sends it, decoded as it is parsed: what is not in use is never in memory.

use std::borrow::Cow;

use ferrule_model::objects::Kind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::DynamicResourceScope};
use serde::{
    Deserialize,
    de::{Deserializer, Error},
};
use serde_json::value::RawValue;

use crate::decode::{Decoded, decode};

/// What one object may take while it is read, in bytes: some twenty times what the largest sensible one does.
const MOST: usize = 8 << 20;

tokio::task_local! {
    /// What the API server is asked for: serde has no place for it.
    pub(super) static KIND: Kind;
}

/// An object of the kind that its API is of.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// What a watch needs to go on from.
    meta: ObjectMeta,
    /// The object.
    pub decoded: Decoded,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kind = KIND.try_with(|kind| *kind).map_err(D::Error::custom)?;
        // As text first: one that cannot be read must not end the list that it stands in.
        let text = <&RawValue>::deserialize(deserializer)?;
        let (resource_version, decoded) = decode(kind, text.get(), MOST);
        Ok(Self { meta: ObjectMeta { resource_version, ..ObjectMeta::default() }, decoded })
    }
}

impl Resource for Item {
    type DynamicType = Kind;
    type Scope = DynamicResourceScope;

    fn kind(kind: &Kind) -> Cow<'_, str> {
        kind.name().into()
    }

    fn group(kind: &Kind) -> Cow<'_, str> {
        kind.api_version().rsplit_once('/').map_or("", |(group, _)| group).into()
    }

    fn version(_: &Kind) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural(kind: &Kind) -> Cow<'_, str> {
        match kind {
            Kind::Node => "nodes",
            Kind::Namespace => "namespaces",
            Kind::Pod => "pods",
            Kind::Service => "services",
            Kind::NetworkPolicy => "networkpolicies",
            Kind::EndpointSlice => "endpointslices",
        }
        .into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use ferrule_model::objects::Pod;

    use super::*;
    use crate::{
        announce,
        decode::{MIRROR, Object, Refused},
    };

    fn read(kind: Kind, text: &str) -> Item {
        KIND.sync_scope(kind, || serde_json::from_str(text)).unwrap()
    }

    #[test]
    fn an_object_that_is_too_large_is_refused_by_name_and_a_policy_closes_its_namespace() {
        let peers = vec![r#"{"ipBlock": {"cidr": "10.0.0.0/8"}}"#; 30_000].join(",");
        let text = format!(
            r#"{{"metadata": {{"name": "p", "namespace": "a", "resourceVersion": "7"}},
                "spec": {{"podSelector": {{"matchLabels": {{"app": "web"}}}}, "ingress": [{{"from": [{peers}]}}], "policyTypes": ["Ingress"]}}}}"#
        );
        let item = read(Kind::NetworkPolicy, &text);
        assert_eq!(item.meta.resource_version.as_deref(), Some("7"));
        let Refused { identity, error, stand_in } = item.decoded.unwrap_err();
        assert_eq!(identity.unwrap().to_string(), "NetworkPolicy a/p");
        assert!(error.to_string().starts_with("spec: is larger than"), "{error}");
        let Some(Object::NetworkPolicy(policy)) = stand_in.map(|it| *it) else { panic!("nothing stands in") };
        assert_eq!((policy.isolates.len(), policy.pod_selector.requirements().len()), (2, 0));
    }

    fn pod(item: Item) -> Pod {
        match item.decoded {
            Ok((_, Object::Pod(pod))) => pod,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pod_is_what_is_in_use_of_it() {
        let text = format!(
            r#"{{"kind": "Pod", "apiVersion": "v1",
            "metadata": {{"name": "web-0", "namespace": "shop", "uid": "u", "resourceVersion": "7", "managedFields": [{{"f:spec": {{}}}}],
                "annotations": {{"note": 7, "{}": "u/10.1.0.5", "{MIRROR}": "s"}}}},
            "spec": {{"nodeName": "n1", "volumes": [{{"name": "v"}}], "containers": [{{"name": "c", "env": [{{"name": "E"}}]}}]}},
            "status": {{"phase": "Running", "conditions": [{{"type": "Ready"}}]}}}}"#,
            announce::ANNOTATION
        );
        let item = read(Kind::Pod, &text);
        assert_eq!(item.meta.resource_version.as_deref(), Some("7"));
        let pod = pod(item);
        assert_eq!((pod.name.to_string().as_str(), pod.node.as_deref()), ("shop/web-0", Some("n1")));
        assert_eq!((pod.announced, pod.ips.len(), pod.static_uid.as_deref()), (true, 1, Some("s")));
    }

    #[test]
    fn a_bad_object_does_not_end_its_list() {
        let text = r#"[{"metadata": {"name": "a", "resourceVersion": "1"}, "spec": {"nodeName": 5}}, 7,
            {"metadata": {"name": "b"}, "spec": []}, {"metadata": {"name": "c"}}]"#;
        let items: Vec<Item> = KIND.sync_scope(Kind::Pod, || serde_json::from_str(text)).unwrap();
        assert_eq!(items[0].meta.resource_version.as_deref(), Some("1"));
        let words = items[..3].iter().map(|item| item.decoded.as_ref().unwrap_err());
        let words: Vec<String> =
            words.map(|one| format!("{:?} {}", one.identity.as_ref().map(|it| &it.name.name), one.error)).collect();
        assert_eq!(
            words,
            [
                r#"Some("a") spec.nodeName: 5 is not a string; put it in quotes"#,
                "None .: is not an object",
                r#"Some("b") spec: is not an object"#
            ]
        );
        assert!(items[3].decoded.is_ok());
    }
}
