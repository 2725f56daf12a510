//! Objects of the model as Kubernetes has them in JSON.

use ferrule_model::{
    objects::{Direction, Namespace, NetworkPolicy, Objects, Pod, PolicyPeer, PolicyRule, PortMatch, Protocol},
    selector::{Labels, Selector, Test},
};
use serde_json::{Map, Value, json};

/// All but the nodes, an object a line.
pub fn lines(objects: &Objects) -> String {
    let namespaces = objects.namespaces.values().map(|one| namespace(one));
    let pods = objects.pods.values().map(|one| pod(one));
    let policies = objects.policies.values().map(|one| policy(one));
    namespaces.chain(pods).chain(policies).map(|object| format!("{object}\n")).collect()
}

fn namespace(one: &Namespace) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": &*one.name, "labels": labels(&one.labels)}})
}

/// A Pod.
pub fn pod(one: &Pod) -> Value {
    let ports = one
        .ports
        .iter()
        .map(|port| json!({"name": &*port.name, "containerPort": port.port, "protocol": protocol(port.protocol)}));
    let ips = one.ips.iter().map(|ip| json!({"ip": ip}));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": &*one.name.name,
            "namespace": &*one.name.namespace,
            "uid": one.uid,
            "labels": labels(&one.labels),
        },
        "spec": {"nodeName": one.node.as_deref(), "containers": [{"ports": ports.collect::<Value>()}]},
        "status": {"phase": "Running", "podIPs": ips.collect::<Value>()},
    })
}

/// A `NetworkPolicy`.
pub fn policy(one: &NetworkPolicy) -> Value {
    let rules = |list: &[PolicyRule], peers: &str| list.iter().map(|one| rule(one, peers)).collect::<Value>();
    let types = one.isolates.iter().map(|direction| match direction {
        Direction::Ingress => "Ingress",
        Direction::Egress => "Egress",
    });
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": &*one.name.name, "namespace": &*one.name.namespace},
        "spec": {
            "podSelector": selector(&one.pod_selector),
            "policyTypes": types.collect::<Value>(),
            "ingress": rules(&one.ingress, "from"),
            "egress": rules(&one.egress, "to"),
        },
    })
}

fn rule(one: &PolicyRule, peers: &str) -> Value {
    let ports = one.ports.iter().map(|port| {
        let mut value = json!({"protocol": protocol(port.protocol)});
        match &port.port {
            PortMatch::Any => {}
            PortMatch::Range(first, last) => (value["port"], value["endPort"]) = ((*first).into(), (*last).into()),
            PortMatch::Named(name) => value["port"] = name.as_str().into(),
        }
        value
    });
    json!({peers: one.peers.iter().map(peer).collect::<Value>(), "ports": ports.collect::<Value>()})
}

fn peer(one: &PolicyPeer) -> Value {
    match one {
        PolicyPeer::Pods { namespaces: None, pods } => json!({"podSelector": selector(pods)}),
        PolicyPeer::Pods { namespaces: Some(namespaces), pods } => {
            json!({"namespaceSelector": selector(namespaces), "podSelector": selector(pods)})
        }
        PolicyPeer::Block(block) => json!({"ipBlock": {"cidr": block.cidr, "except": block.except}}),
    }
}

fn selector(one: &Selector) -> Value {
    let requirements = one.requirements().iter().map(|one| match &one.test {
        Test::In(values) => json!({"key": one.key, "operator": "In", "values": values}),
        Test::NotIn(values) => json!({"key": one.key, "operator": "NotIn", "values": values}),
        Test::Exists => json!({"key": one.key, "operator": "Exists"}),
        Test::DoesNotExist => json!({"key": one.key, "operator": "DoesNotExist"}),
    });
    json!({"matchExpressions": requirements.collect::<Value>()})
}

fn labels(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}

#[cfg(test)]
mod tests {
    use ferrule_model::testing::hard::Hard;
    use ferrule_source::{decode::Object, manifest, manifest::Item};

    use super::*;

    #[test]
    fn the_agent_reads_what_is_written() {
        let size = Hard { pods: 30, endpoints: 3, policies_here: 10, policies_elsewhere: 5 };
        let (objects, mut read) = (size.objects(), Objects::default());
        for item in manifest::json(&lines(&objects)).unwrap() {
            match item {
                Item::Object(_, Object::Namespace(one)) => drop(read.namespaces.insert(one.name.clone(), one.into())),
                Item::Object(_, Object::Pod(mut one)) => {
                    // When it was created is not written.
                    one.created = 1;
                    read.pods.insert(one.name.clone(), one.into());
                }
                Item::Object(_, Object::NetworkPolicy(one)) => drop(read.policies.insert(one.name.clone(), one.into())),
                other => panic!("{other:?}"),
            }
        }
        read.nodes.clone_from(&objects.nodes);
        assert_eq!(read, objects);
    }
}
