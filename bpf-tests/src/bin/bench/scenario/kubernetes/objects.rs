//! What the API server is told: a cluster that is hard to enforce, with Services.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use ferrule_model::{objects::Objects, testing::hard::Hard};
use serde_json::{Value, json};

use crate::lab::api::Call;
use crate::scenario::policy::manifest;

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
            let cidr = format!("10.{}.{low}.0/24", 128 + high);
            node(&format!("node-{number}"), &[cidr], &[Ipv4Addr::new(192, 168, high, low).into()])
        });
        [first.collect(), accounts.chain([own]).chain(others).collect()]
    }

    /// Pods, policies and Services.
    pub fn rest(&self, objects: &Objects) -> Vec<Call> {
        let pods = objects.pods.values().zip(0_u32..).map(|(pod, _)| {
            let mut body = manifest::pod(pod);
            if self.is_own(pod.labels.get("id")) {
                body["spec"]["nodeName"] = NODE.into();
            }
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
        let others = objects.pods.values().filter(|pod| !self.is_own(pod.labels.get("id")));
        others
            .map(|pod| {
                let ips: Vec<Value> = pod.ips.iter().map(|ip| json!({"ip": ip})).collect();
                let status = json!({"status": {"phase": "Running", "podIP": pod.ips.first(), "podIPs": ips}});
                Call::merge(format!("{}/{}/status", pods_of(&pod.name.namespace), pod.name.name), status)
            })
            .collect()
    }

    /// A change of a pod that no policy looks at.
    pub fn change(&self, number: u32) -> Call {
        let range = self.hard.pods - self.hard.endpoints;
        let pod = self.hard.pod(self.hard.endpoints + number.wrapping_mul(7_919) % range);
        let path = format!("{}/{}", pods_of(&pod.name.namespace), pod.name.name);
        Call::merge(path, json!({"metadata": {"labels": {"changed": format!("c-{number}")}}}))
    }

    fn is_own(&self, id: Option<&str>) -> bool {
        let number = id.and_then(|id| id.strip_prefix("pod-")?.parse::<u32>().ok());
        number.is_some_and(|number| number < self.hard.endpoints)
    }

    fn service(&self, number: u32) -> [Call; 2] {
        let namespace = self.hard.namespace(number % (self.hard.pods / 110 + 1)).name;
        let name = format!("service-{number}");
        let backends = (0..BACKENDS).map(|at| {
            let pod = self.hard.pod((number * BACKENDS + at) % self.hard.pods);
            json!({"addresses": [pod.ips.first()], "conditions": {"ready": true}, "nodeName": pod.node.as_deref()})
        });
        let service = json!({
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        });
        let slice = json!({
            "metadata": {"name": format!("{name}-x"), "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": backends.collect::<Value>(),
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
