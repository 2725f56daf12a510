//! An object as the API server sends it: only the members in use, of whatever kind.

use std::borrow::Cow;

use ferrule_model::objects::Kind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, core::DynamicResourceScope};
use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, MapAccess, Visitor},
};

use crate::{
    announce,
    decode::{MIRROR, Parts},
    mask::{Bounded, Budget, Mask},
};

/// What the decoders ask for, of all kinds. No two kinds want different things of a member of one name.
const IN_USE: Mask = Mask::Members(&[
    (
        "metadata",
        Mask::Members(&[
            ("name", Mask::All),
            ("namespace", Mask::All),
            ("uid", Mask::All),
            ("resourceVersion", Mask::All),
            ("labels", Mask::All),
            ("annotations", Mask::Members(&[(MIRROR, Mask::All), (announce::ANNOTATION, Mask::All)])),
            ("creationTimestamp", Mask::All),
            ("deletionTimestamp", Mask::All),
        ]),
    ),
    (
        "spec",
        Mask::Members(&[
            // Node
            ("podCIDR", Mask::All),
            ("podCIDRs", Mask::All),
            ("taints", Mask::Members(&[("key", Mask::All)])),
            // Pod
            ("nodeName", Mask::All),
            ("hostNetwork", Mask::All),
            ("containers", Mask::Members(&[("ports", Mask::All)])),
            ("initContainers", Mask::Members(&[("ports", Mask::All), ("restartPolicy", Mask::All)])),
            // NetworkPolicy
            ("podSelector", Mask::All),
            ("policyTypes", Mask::All),
            ("ingress", Mask::All),
            ("egress", Mask::All),
            // Service
            ("type", Mask::All),
            ("clusterIP", Mask::All),
            ("clusterIPs", Mask::All),
            ("ports", Mask::All),
            ("sessionAffinity", Mask::All),
            ("sessionAffinityConfig", Mask::All),
            ("internalTrafficPolicy", Mask::All),
            ("trafficDistribution", Mask::All),
        ]),
    ),
    (
        "status",
        Mask::Members(&[
            // Node
            ("addresses", Mask::All),
            // Pod
            ("phase", Mask::All),
            ("podIP", Mask::All),
            ("podIPs", Mask::All),
        ]),
    ),
    // EndpointSlice
    ("addressType", Mask::All),
    ("endpoints", Mask::All),
    ("ports", Mask::All),
]);

/// What one object may take while it is read, in bytes: some twenty times what the largest sensible one does.
const MOST: usize = 8 << 20;

/// An object of the kind that its API is of.
#[derive(Debug, Clone)]
pub(super) struct Item {
    meta: ObjectMeta,
    parts: Parts,
}

impl Item {
    /// What the decoders read.
    pub(super) fn into_parts(self) -> Parts {
        self.parts
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let mut parts = Parts::default();
        let budget = Budget::new(Some(MOST));
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            match IN_USE.member(&name).and_then(|mask| Some((parts.part_mut(&name)?, mask))) {
                Some((part, mask)) => *part = map.next_value_seed(Bounded { mask, budget: &budget })?,
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        parts.cut = budget.get().is_none();
        // What a watch needs to go on from.
        let text = |member: &str| parts.metadata.get(member).and_then(|value| value.as_str()).map(str::to_owned);
        let (name, resource_version) = (text("name"), text("resourceVersion"));
        Ok(Item { meta: ObjectMeta { name, resource_version, ..ObjectMeta::default() }, parts })
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
    use super::*;
    use crate::decode::Object;

    #[test]
    fn an_object_that_is_too_large_is_refused_by_name_and_a_policy_closes_its_namespace() {
        let peers = vec![r#"{"ipBlock": {"cidr": "10.0.0.0/8"}}"#; 30_000].join(",");
        let text = format!(
            r#"{{"metadata": {{"name": "p", "namespace": "a", "resourceVersion": "7"}},
                "spec": {{"podSelector": {{"matchLabels": {{"app": "web"}}}}, "ingress": [{{"from": [{peers}]}}], "policyTypes": ["Ingress"]}}}}"#
        );
        let item: Item = serde_json::from_str(&text).unwrap();
        assert_eq!(item.meta.resource_version.as_deref(), Some("7"));
        let parts = item.into_parts();
        let identity = parts.identity(Kind::NetworkPolicy).unwrap();
        let error = parts.decode(&identity).unwrap_err().to_string();
        assert!(error.starts_with("spec: is larger than"), "{error}");
        let Some(Object::NetworkPolicy(policy)) = parts.stand_in(&identity) else { panic!("nothing stands in") };
        assert_eq!((policy.isolates.len(), policy.pod_selector.requirements().len()), (2, 0));
    }

    #[test]
    fn a_pod_is_what_is_in_use_of_it() {
        let text = r#"{"kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "web-0", "namespace": "shop", "resourceVersion": "7", "managedFields": [{"f:spec": {}}],
                "annotations": {"note": "long", "ferrule.dev/pod-ips": "10.1.0.5"}},
            "spec": {"nodeName": "n1", "volumes": [{"name": "v"}], "containers": [{"name": "c", "env": [{"name": "E"}]}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready"}]}}"#;
        let item: Item = serde_json::from_str(text).unwrap();
        assert_eq!((item.meta.name.as_deref(), item.meta.resource_version.as_deref()), (Some("web-0"), Some("7")));
        let parts = item.into_parts();
        assert_eq!(parts.spec.to_string(), r#"{"containers":[{}],"nodeName":"n1"}"#);
        assert_eq!(parts.status.to_string(), r#"{"phase":"Running"}"#);
        assert!(!parts.metadata.to_string().contains("managedFields") && !parts.metadata.to_string().contains("long"));
    }
}
