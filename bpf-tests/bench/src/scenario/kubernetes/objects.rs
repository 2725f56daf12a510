//! What the API server is told: a cluster that is hard to enforce, with Services.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ferrule_model::{
    objects::{Objects, Pod},
    testing::hard::Hard,
};
use serde_json::{Value, json};

use crate::{lab::api::Call, scenario::policy::manifest};

/// How big the cluster is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Pods and policies. The first pods are the looking node's.
    pub hard: Hard,
    /// Nodes altogether.
    pub nodes: u32,
    /// Services, each with a slice of six endpoints.
    pub services: u32,
}

/// The name of the node that looks.
pub const NODE: &str = "n1";
/// Its pod CIDRs.
pub const POD_CIDRS: [&str; 2] = ["10.244.1.0/24", "fd00:244:1::/64"];

const BACKENDS: u32 = 6;

impl Size {
    /// Namespaces with their service accounts, and nodes: what others need.
    pub fn ground(&self, internal: &[IpAddr]) -> [Vec<Call>; 2] {
        let namespaces: BTreeSet<String> =
            (0..=self.hard.pods / 110).map(|group| self.hard.namespace(group).name.to_string()).collect();
        let first = namespaces.iter().map(|name| {
            let label = name.replace("ns-", "team-");
            Call::create("/api/v1/namespaces", json!({"metadata": {"name": name, "labels": {"team": label}}}))
        });
        let accounts = namespaces.iter().map(|name| {
            Call::create(format!("/api/v1/namespaces/{name}/serviceaccounts"), json!({"metadata": {"name": "default"}}))
        });
        let own = node(NODE, &POD_CIDRS.map(str::to_owned), internal);
        let others = (0..self.nodes - 1).map(|number| {
            let [_, _, high, low] = number.to_be_bytes();
            let cidrs = [format!("10.{}.{low}.0/24", 128 + high), format!("fd00:128:{number:x}::/64")];
            node(&format!("node-{number}"), &cidrs, &[Ipv4Addr::new(192, 168, high, low).into()])
        });
        [first.collect(), accounts.chain([own]).chain(others).collect()]
    }

    /// Pods, policies and Services.
    pub fn rest(&self, objects: &Objects) -> Vec<Call> {
        let pods = objects.pods.values().zip(0_u32..).map(|(pod, _)| {
            let mut body = manifest::pod(pod);
            body["spec"]["nodeName"] = self.place(pod).map_or_else(|| NODE.to_owned(), |(node, _)| node).into();
            let container = &mut body["spec"]["containers"][0];
            (container["name"], container["image"]) = ("main".into(), "registry.example/app:1".into());
            Call::create(pods_of(&pod.name.namespace), body)
        });
        let policies = objects.policies.values().map(|policy| {
            let path = format!("/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies", policy.name.namespace);
            Call::create(path, manifest::policy(policy))
        });
        let services = (0..self.services).flat_map(|number| self.service(number));
        pods.chain(policies).chain(services).collect()
    }

    /// What kubelets say of other nodes' pods.
    pub fn statuses(&self, objects: &Objects) -> Vec<Call> {
        let others = objects.pods.values().filter_map(|pod| Some((pod, self.place(pod)?.1)));
        others
            .map(|(pod, ips)| {
                let all = ips.map(|ip| json!({"ip": ip}));
                let status = json!({"status": {"phase": "Running", "podIP": ips[0], "podIPs": all}});
                Call::merge(format!("{}/{}/status", pods_of(&pod.name.namespace), pod.name.name), status)
            })
            .collect()
    }

    /// A change of a pod that no policy looks at.
    pub fn change(&self, number: u32) -> Call {
        let range = self.hard.pods - self.hard.endpoints;
        let pod = self.hard.pod(self.hard.endpoints + number.wrapping_mul(7_919) % range);
        let path = format!("{}/{}", pods_of(&pod.name.namespace), pod.name.name);
        Call::merge(path, json!({"metadata": {"labels": {"changed": format!("c-{number}-{}", std::process::id())}}}))
    }

    /// The node that another pod than the looking node's is on, and its addresses there.
    fn place(&self, pod: &Pod) -> Option<(String, [IpAddr; 2])> {
        let number: u32 = pod.labels.get("id")?.strip_prefix("pod-")?.parse().ok()?;
        let other = number.checked_sub(self.hard.endpoints)?;
        let (node, first) = (other % (self.nodes - 1), other / (self.nodes - 1) + 2);
        let [_, _, high, low] = node.to_be_bytes();
        let last = u8::try_from(first).ok()?;
        let v6 = Ipv6Addr::new(0xfd00, 0x128, u16::try_from(node).ok()?, 0, 0, 0, 0, last.into());
        Some((format!("node-{node}"), [Ipv4Addr::new(10, 128 + high, low, last).into(), v6.into()]))
    }

    fn service(&self, number: u32) -> [Call; 2] {
        let namespace = self.hard.namespace(number % (self.hard.pods / 110 + 1)).name;
        let name = format!("service-{number}");
        let backends = (0..BACKENDS).map(|at| {
            let others = self.hard.pods - self.hard.endpoints;
            let place = self.place(&self.hard.pod(self.hard.endpoints + (number * BACKENDS + at) % others));
            place.map(|(node, ips)| json!({"addresses": [ips[0]], "conditions": {"ready": true}, "nodeName": node}))
        });
        let service = json!({
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        });
        let slice = json!({
            "metadata": {"name": format!("{name}-x"), "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": backends.flatten().collect::<Value>(),
        });
        [
            Call::create(format!("/api/v1/namespaces/{namespace}/services"), service),
            Call::create(format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"), slice),
        ]
    }
}

fn pods_of(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

fn node(name: &str, pod_cidrs: &[String], internal: &[IpAddr]) -> Call {
    let addresses: Vec<Value> = internal.iter().map(|ip| json!({"type": "InternalIP", "address": ip})).collect();
    let body = json!({
        "metadata": {"name": name},
        "spec": {"podCIDR": pod_cidrs[0], "podCIDRs": pod_cidrs},
        "status": {"addresses": addresses},
    });
    Call::create("/api/v1/nodes", body)
}
