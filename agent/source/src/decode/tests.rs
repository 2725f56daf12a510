//! Values of each kind, good and bad, as a manifest has them.

use ferrule_model::objects::{Distribution, Protocol, Service, ServiceType};

use super::Object;
use crate::{manifest, manifest::Item};

/// What the one object of this manifest decodes to, or the error.
fn decode(kind: &str, rest: &str) -> Result<Object, String> {
    let version = match kind {
        "NetworkPolicy" => "networking.k8s.io/v1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        _ => "v1",
    };
    let text = format!("apiVersion: {version}\nkind: {kind}\n{rest}");
    match manifest::yaml(&text).unwrap().pop().unwrap() {
        Item::Object(_, object) => Ok(object),
        Item::Bad { error, .. } => Err(error.to_string()),
        Item::Unused { kind } => panic!("{kind} is not in use"),
    }
}

#[track_caller]
fn check(kind: &str, rest: &str, expected: &str) {
    let text = format!("metadata: {{name: x}}\n{rest}");
    assert_eq!(decode(kind, &text).unwrap_err(), expected, "{text}");
}

#[test]
fn a_block_of_ipv4_within_ipv6_is_the_ipv4_block() {
    let block = |cidr: &str, except: &str| {
        let peer = format!("{{ipBlock: {{cidr: '{cidr}', except: ['{except}']}}}}");
        let text = format!("metadata: {{name: p}}\nspec: {{ingress: [{{from: [{peer}]}}]}}");
        let Object::NetworkPolicy(policy) = decode("NetworkPolicy", &text).unwrap() else { panic!() };
        match &policy.ingress[0].peers[0] {
            ferrule_model::objects::PolicyPeer::Block(block) => format!("{} {}", block.cidr, block.except[0]),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(block("::ffff:10.50.0.0/112", "::ffff:10.50.1.2/128"), "10.50.0.0/16 10.50.1.2/32");
    assert_eq!(block("10.50.0.0/16", "::ffff:10.50.1.2/128"), "10.50.0.0/16 10.50.1.2/32");
    assert_eq!(block("::ffff:0:0/96", "10.0.0.0/8"), "0.0.0.0/0 10.0.0.0/8");
    // What is broader than the IPv4 addresses is a block of IPv6.
    assert_eq!(block("::/64", "::ffff:0:0/95"), "::/64 ::fffe:0:0/95");
}

#[test]
fn a_ports_name_is_one_as_the_api_server_has_them() {
    let port = |text: &str| {
        decode(
            "NetworkPolicy",
            &format!("metadata: {{name: x}}\nspec: {{podSelector: {{}}, ingress: [{{ports: [{{port: {text}}}]}}]}}"),
        )
    };
    for good in ["http", "a", "8a", "h-2", "abcdefghijklmno"] {
        assert!(port(good).is_ok(), "{good}");
    }
    let number = "spec.ingress[0].ports[0].port: \"80\" is a number in quotes, and a name has a letter; write 80";
    assert_eq!(port("'80'").unwrap_err(), number);
    for bad in ["'8-0'", "HTTP", "a--b", "-a", "a-", "abcdefghijklmnop", "a.b", "ä"] {
        let error = port(bad).unwrap_err();
        assert!(error.contains("ports[0].port: ") && error.contains("is not a port's name"), "{bad}: {error}");
    }
}

#[test]
fn a_bad_node_is_told_by_field() {
    check(
        "Node",
        "spec: {podCIDRs: [10.1.0.0/24, 10.2.0.0]}",
        "spec.podCIDRs[1]: \"10.2.0.0\" has no prefix length; write it like 10.1.0.0/24",
    );
    check("Node", "spec: {podCIDRs: [10.1.0.0/33]}", "spec.podCIDRs[0]: \"10.1.0.0/33\" is not a CIDR");
    check("Node", "spec: {podCIDRs: 10.1.0.0/24}", "spec.podCIDRs: is not a list");
    check("Node", "spec: 5", "spec: is not an object");
    check(
        "Node",
        "status: {addresses: [{type: InternalIP, address: node-b}]}",
        "status.addresses[0].address: \"node-b\" is not an IP address",
    );
    check(
        "Node",
        "status: {addresses: [{type: InternalIP, address: 127.0.0.1}]}",
        "status.addresses[0].address: 127.0.0.1 is not an address that a pod or node can have",
    );
    check("Node", "status: {addresses: [{type: InternalIP}]}", "status.addresses[0].address: is missing");
    check("Node", "spec: {taints: [{effect: NoSchedule}]}", "spec.taints[0].key: is missing");
}

#[test]
fn null_counts_as_absent_and_a_list_is_no_object() {
    let Ok(Object::Pod(pod)) =
        decode("Pod", "metadata: {name: x, labels: null}\nspec: {nodeName: null, containers: [null]}\nstatus: null")
    else {
        panic!()
    };
    assert_eq!((pod.node, pod.ports.len(), pod.labels.is_empty()), (None, 0, true));
    check("Pod", "status: {podIPs: [null]}", "status.podIPs[0].ip: is missing");
    check("Pod", "spec: [a, false]", "spec: is not an object");
    check("Pod", "spec: {containers: [[]]}", "spec.containers[0]: is not an object");
    check("NetworkPolicy", "spec: {podSelector: {matchLabels: []}}", "spec.podSelector.matchLabels: is not an object");
    check(
        "NetworkPolicy",
        "spec: {podSelector: {matchLabels: {app: 1}}}",
        "spec.podSelector.matchLabels[app]: 1 is not a string; put it in quotes",
    );
}

#[test]
fn a_bad_pod_is_told_by_field() {
    check(
        "Pod",
        "status: {podIPs: [{ip: '::ffff:10.0.0.1'}]}",
        "status.podIPs[0].ip: ::ffff:10.0.0.1 is an IPv4 address written as IPv6; write 10.0.0.1",
    );
    check("Pod", "spec: {hostNetwork: maybe}", "spec.hostNetwork: \"maybe\" is not true or false");
    check("Pod", "spec: {nodeName: 5}", "spec.nodeName: 5 is not a string; put it in quotes");
    check(
        "Pod",
        "status: {phase: Sleeping}",
        "status.phase: \"Sleeping\" is not a phase (Pending, Running, Succeeded, Failed, Unknown)",
    );
    check(
        "Pod",
        "spec: {containers: [{}, {ports: [{containerPort: 70000}]}]}",
        "spec.containers[1].ports[0].containerPort: 70000 is not a port, which is from 1 to 65535",
    );
    check(
        "Pod",
        "spec: {containers: [{ports: [{containerPort: 80, protocol: ICMP}]}]}",
        "spec.containers[0].ports[0].protocol: \"ICMP\" is not a protocol (TCP, UDP, SCTP)",
    );
    let labelled = |metadata: &str| decode("Pod", &format!("metadata: {{name: x, {metadata}}}")).unwrap_err();
    assert_eq!(labelled("labels: {replicas: 3}"), "metadata.labels[replicas]: 3 is not a string; put it in quotes");
    assert_eq!(
        labelled("creationTimestamp: now"),
        "metadata.creationTimestamp: \"now\" is not a time like 2026-11-22T17:00:00Z"
    );
}

#[test]
fn a_bad_policy_is_told_by_field() {
    check(
        "NetworkPolicy",
        "spec: {podSelector: {matchExpressions: [{key: a, operator: Is}]}}",
        "spec.podSelector.matchExpressions[0].operator: \"Is\" is not an operator (In, NotIn, Exists, DoesNotExist)",
    );
    check(
        "NetworkPolicy",
        "spec: {podSelector: {matchExpressions: [{key: a, operator: In}]}}",
        "spec.podSelector.matchExpressions[0].values: is empty, but In needs values",
    );
    check(
        "NetworkPolicy",
        "spec: {ingress: [{from: [{}]}]}",
        "spec.ingress[0].from[0]: names nobody; give it podSelector, namespaceSelector or ipBlock",
    );
    check(
        "NetworkPolicy",
        "spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]}",
        "spec.egress[0].to[0].ipBlock.except[0]: 11.0.0.0/16 is not a part of 10.0.0.0/8",
    );
    check(
        "NetworkPolicy",
        "spec: {egress: [{ports: [{port: 90, endPort: 80}]}]}",
        "spec.egress[0].ports[0].endPort: is below port 90",
    );
    check(
        "NetworkPolicy",
        "spec: {egress: [{ports: [{port: http, endPort: 80}]}]}",
        "spec.egress[0].ports[0].endPort: needs a port that is a number",
    );
    check(
        "NetworkPolicy",
        "spec: {policyTypes: [Both]}",
        "spec.policyTypes[0]: \"Both\" is not a policy type (Ingress, Egress)",
    );
}

#[test]
fn a_policy_that_asks_for_more_than_any_pod_may_have_is_told_by_field() {
    let many = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(", ");
    let cidrs = |count| many(count, &|n| format!("{{ipBlock: {{cidr: 10.{}.{}.0/24}}}}", n / 256, n % 256));
    let ports = |count| many(count, &|n| format!("{{port: {}}}", 2 * n + 1));
    let labels = |count| many(count, &|n| format!("{{podSelector: {{matchLabels: {{app: a{n}}}}}}}"));
    let told = |spec: String, what: &str| {
        check("NetworkPolicy", &format!("spec: {spec}"), &format!("spec.{what}; name fewer peers and ports"));
    };
    told(
        format!("{{ingress: [{{from: [{}], ports: [{}]}}]}}", cidrs(400), ports(100)),
        "ingress: asks for 40000 pairs of a peer and a port, and a policy may have 32768",
    );
    told(
        format!("{{egress: [{{to: [{}]}}]}}", cidrs(4_097)),
        "egress: asks for 4097 CIDRs and exceptions, and a policy may have 4096",
    );
    told(
        format!("{{ingress: [{{from: [{}]}}]}}", labels(1_025)),
        "ingress: asks for 1025 selectors of peers, and a policy may have 1024",
    );
    let fits =
        format!("metadata: {{name: x}}\nspec: {{ingress: [{{from: [{}], ports: [{}]}}]}}", cidrs(4_096), ports(8));
    assert_eq!(decode("NetworkPolicy", &fits).err(), None);
}

#[test]
fn every_field_of_a_pod_in_use_is_decoded() {
    let text = "
metadata: {name: web-0, namespace: shop, uid: u, labels: {app: web}, creationTimestamp: 1970-01-01T00:01:00Z, deletionTimestamp: 2026-11-22T17:00:00Z}
spec:
  nodeName: b
  hostNetwork: false
  initContainers: [{restartPolicy: Always, ports: [{containerPort: 9}]}, {ports: [{containerPort: 10}]}]
  containers: [{name: c, image: i, ports: [{name: dns, containerPort: 53, protocol: UDP}]}]
status: {phase: Running, podIP: 10.1.0.7, podIPs: [{ip: 10.1.0.7}, {ip: 'fd00::7'}]}";
    let Object::Pod(pod) = decode("Pod", text).unwrap() else { panic!() };
    let shown = format!("{pod:?}");
    assert_eq!(pod.name.to_string(), "shop/web-0", "{shown}");
    assert_eq!((pod.created, pod.terminating, pod.host_network, pod.uid.as_str()), (60, true, false, "u"), "{shown}");
    assert_eq!((pod.labels.get("app"), pod.node.as_deref(), pod.ips.len()), (Some("web"), Some("b"), 2), "{shown}");
    assert_eq!(pod.ports.iter().map(|port| port.port).collect::<Vec<_>>(), [53, 9], "{shown}");
}

#[test]
fn a_policy_isolates_what_kubernetes_says_where_it_names_no_types() {
    let isolates = |spec: &str| match decode("NetworkPolicy", &format!("metadata: {{name: x}}\nspec: {spec}")).unwrap()
    {
        Object::NetworkPolicy(policy) => format!("{:?}", policy.isolates),
        other => panic!("{other:?}"),
    };
    assert_eq!(isolates("{}"), "[Ingress]");
    assert_eq!(isolates("{egress: [{}]}"), "[Ingress, Egress]");
    assert_eq!(isolates("{policyTypes: [Egress]}"), "[Egress]");
}

#[test]
fn a_bad_service_is_told_by_field() {
    let check = |spec: &str, expected: &str| check("Service", &format!("spec: {spec}"), expected);
    check("{clusterIPs: [10.96.0.1, web]}", "spec.clusterIPs[1]: \"web\" is not an IP address");
    check(
        "{clusterIPs: [10.96.0.1, 10.96.0.2]}",
        "spec.clusterIPs[1]: 10.96.0.2 is the second of its family; a Service has one of each at most",
    );
    check(
        "{type: Internal}",
        "spec.type: \"Internal\" is not a type of Service (ClusterIP, NodePort, LoadBalancer, ExternalName)",
    );
    check("{ports: [{name: http}]}", "spec.ports[0].port: is missing or not a number");
    check(
        "{ports: [{port: 80}, {port: 80, name: b}]}",
        "spec.ports[1].port: 80 stands twice with one protocol; remove one of them",
    );
    check("{sessionAffinity: Cookie}", "spec.sessionAffinity: \"Cookie\" is not an affinity (None, ClientIP)");
    check(
        "{sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 90000}}}",
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds: 90000 is not between 1 and 86400",
    );
    check(
        "{internalTrafficPolicy: Zone}",
        "spec.internalTrafficPolicy: \"Zone\" is not a traffic policy (Cluster, Local)",
    );
}

#[test]
fn a_bad_slice_is_told_by_field() {
    let check = |rest: &str, expected: &str| check("EndpointSlice", rest, expected);
    check("endpoints: []", "addressType: is missing");
    check("addressType: MAC", "addressType: \"MAC\" is not a type of address (IPv4, IPv6, FQDN)");
    check(
        "addressType: IPv4\nendpoints: [{addresses: [10.1.0.7]}, {addresses: [10.1.0.8, 10.1.0.x]}]",
        "endpoints[1].addresses[1]: \"10.1.0.x\" is not an IP address",
    );
    check(
        "addressType: IPv6\nendpoints: [{addresses: [10.1.0.7]}]",
        "endpoints[0].addresses[0]: 10.1.0.7 is not of the slice's addressType",
    );
    check(
        "addressType: IPv4\nendpoints: [{addresses: []}]",
        "endpoints[0].addresses: is empty; an endpoint has an address",
    );
    check(
        "addressType: IPv4\nendpoints: [{addresses: [10.1.0.7], conditions: {ready: 'yes'}}]",
        "endpoints[0].conditions.ready: \"yes\" is not true or false",
    );
    check("addressType: IPv4\nports: [{port: http}]", "ports[0].port: is not a number");
    check(
        "addressType: IPv4\nendpoints: [{addresses: [10.1.0.7], hints: {forZones: [{}]}}]",
        "endpoints[0].hints.forZones[0].name: is missing",
    );
}

fn service(metadata: &str, spec: &str) -> Service {
    let text = format!("metadata: {{name: web, namespace: shop, {metadata}}}\nspec: {spec}");
    let Object::Service(service) = decode("Service", &text).unwrap() else { panic!("{text}") };
    service
}

#[test]
fn every_field_of_a_service_in_use_is_decoded() {
    let one = service(
        "creationTimestamp: 1970-01-01T00:01:00Z, labels: {service.kubernetes.io/service-proxy-name: other}",
        "{type: NodePort, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd01::1'], sessionAffinity: ClientIP,
          internalTrafficPolicy: Local, trafficDistribution: PreferClose,
          ports: [{name: http, port: 80, targetPort: web}, {port: 53, protocol: UDP}]}",
    );
    let shown = format!("{one:?}");
    assert_eq!(one.name.to_string(), "shop/web", "{shown}");
    assert_eq!((one.created, one.kind, one.affinity), (60, ServiceType::NodePort, Some(10_800)), "{shown}");
    assert_eq!((one.local, one.distribution, one.headless), (true, Distribution::SameZone, false), "{shown}");
    assert_eq!((one.other_proxy.as_deref(), one.cluster_ips.len()), (Some("other"), 2), "{shown}");
    let ports: Vec<_> = one.ports.iter().map(|port| (&*port.name, port.port, port.protocol)).collect();
    assert_eq!(ports, [("http", 80, Protocol::Tcp), ("", 53, Protocol::Udp)], "{shown}");
}

#[test]
fn a_service_without_an_address_has_none() {
    let addresses = |spec: &str| service("", spec).cluster_ips.len();
    assert_eq!(addresses("{clusterIP: None}"), 0);
    assert_eq!(addresses("{clusterIPs: [None]}"), 0);
    assert_eq!(addresses("{clusterIP: ''}"), 0);
    assert_eq!(addresses("{type: ExternalName, externalName: example.org, clusterIP: 10.96.0.1}"), 0);
    assert_eq!(addresses("{clusterIP: 10.96.0.1}"), 1);
}

#[test]
fn every_field_of_a_slice_in_use_is_decoded() {
    let text = "
metadata: {name: web-x, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.7, 10.1.0.9], nodeName: a, zone: z, hints: {forZones: [{name: z}], forNodes: [{name: a}]}}
- {addresses: [10.1.0.8], conditions: {ready: false, serving: true, terminating: true}}
ports: [{name: http, port: 8080}, {name: dns, protocol: UDP}]";
    let Object::EndpointSlice(slice) = decode("EndpointSlice", text).unwrap() else { panic!() };
    let shown = format!("{slice:?}");
    assert_eq!((slice.name.to_string().as_str(), slice.service.as_deref()), ("shop/web-x", Some("web")), "{shown}");
    let conditions = |at: usize| {
        let endpoint = &slice.endpoints[at];
        (endpoint.address.to_string(), endpoint.ready, endpoint.serving, endpoint.terminating)
    };
    assert_eq!(conditions(0), ("10.1.0.7".to_owned(), true, true, false), "{shown}");
    assert_eq!(conditions(1), ("10.1.0.8".to_owned(), false, true, true), "{shown}");
    let first = &slice.endpoints[0];
    assert_eq!((first.node.as_deref(), first.zone.as_deref()), (Some("a"), Some("z")), "{shown}");
    assert_eq!((&*first.for_zones[0], &*first.for_nodes[0]), ("z", "a"), "{shown}");
    let ports: Vec<_> = slice.ports.iter().map(|port| (&*port.name, port.port, port.protocol)).collect();
    assert_eq!(ports, [("http", Some(8080), Protocol::Tcp), ("dns", None, Protocol::Udp)], "{shown}");
}

#[test]
fn names_instead_of_addresses_are_no_endpoints() {
    let text = "metadata: {name: x}\naddressType: FQDN\nendpoints: [{addresses: [example.org]}]";
    let Object::EndpointSlice(slice) = decode("EndpointSlice", text).unwrap() else { panic!() };
    assert!(slice.endpoints.is_empty(), "{slice:?}");
}
