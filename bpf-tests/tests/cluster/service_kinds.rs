//! What Services ask for, as the API server and its controllers say it: affinity, traffic policies, endpoints that end, zones,
//! and what is none of ours.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use test_kit::cluster::Node;

use crate::support::{Pod, Space, nodes, refused};

const PORT: u16 = 80;

/// A Service of the pods with the label `app` of its name; its IPv4 address.
#[track_caller]
fn service(space: &Space, name: &str, more: Value) -> SocketAddr {
    let mut spec = json!({"selector": {"app": name}, "ports": [{"port": PORT, "targetPort": 8080}]});
    spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    space.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}));
    let ip = space.get("service", name).expect("a Service")["spec"]["clusterIP"].clone();
    SocketAddr::new(ip.as_str().and_then(|ip| ip.parse::<IpAddr>().ok()).expect("an address"), PORT)
}

/// Which pod answers a client's new connection.
fn answers(client: &Pod, node: &Node, to: SocketAddr) -> Result<String> {
    let ask = || -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /hostname HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (_, name) = text.split_once("\r\n\r\n").context("no HTTP answer")?;
        Ok(name.trim().to_owned())
    };
    node.machine.cgroup().within(|| client.netns.enter(ask))??
}

/// Who answers the next connections, as a set.
fn all_that_answer(client: &Pod, node: &Node, to: SocketAddr, times: usize) -> Result<BTreeSet<String>> {
    (0..times).map(|_| answers(client, node, to)).collect()
}

/// Waits until exactly these answer.
#[track_caller]
fn leads_to(space: &Space, client: &Pod, node: &Node, to: SocketAddr, pods: &[&str]) {
    let wanted: BTreeSet<String> = pods.iter().map(|pod| (*pod).to_owned()).collect();
    space.until(&format!("{to} leads {} to {pods:?}", client.name), || {
        let found = all_that_answer(client, node, to, 16)?;
        ensure!(found == wanted, "{found:?}");
        Ok(())
    });
}

/// A server and a client on each of two nodes: clients first.
#[track_caller]
fn both<'a>(space: &Space, nodes: &'a [Node], app: &str) -> [(Pod, &'a Node, String); 2] {
    [0, 1].map(|at| {
        let node = &nodes[at];
        let server = format!("{app}-{}", node.name());
        space.pod(&server, node.name(), &[("app", app)]);
        (space.pod(&format!("client-{}", node.name()), node.name(), &[]), node, server)
    })
}

#[test]
fn a_client_stays_with_its_backend_until_its_time_is_over() {
    let space = Space::new("affinity");
    let nodes = nodes();
    let [(client, node, first), (_, _, second)] = both(&space, &nodes, "web");
    let affinity = json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 4}}});
    let to = service(&space, "web", affinity);
    space.until("somebody answers", || answers(&client, node, to).map(drop));
    let seen = all_that_answer(&client, node, to, 24).expect("answers");
    assert_eq!(seen.len(), 1, "{seen:?}");
    let mut later = BTreeSet::new();
    space.until("another one after a pause", || {
        thread::sleep(Duration::from_secs(6));
        later.insert(answers(&client, node, to)?);
        ensure!(later == BTreeSet::from([first.clone(), second.clone()]), "{later:?}");
        Ok(())
    });
}

#[test]
fn a_local_traffic_policy_leads_to_the_nodes_own_pods_or_nowhere() {
    let space = Space::new("local");
    let nodes = nodes();
    let [(here, node, server), (there, other, _)] = both(&space, &nodes, "web");
    let to = service(&space, "web", json!({"internalTrafficPolicy": "Local"}));
    leads_to(&space, &here, node, to, &[&server]);
    space.kubectl(&format!("label pod web-{} app-", other.name())).expect("it is no backend any more");
    space.until("the other node has none", || match answers(&there, other, to) {
        Err(_) => Ok(()),
        Ok(name) => bail!("{name} answers"),
    });
    leads_to(&space, &here, node, to, &[&server]);
}

#[test]
fn an_endpoint_that_ends_serves_while_there_is_no_other() {
    let space = Space::new("ending");
    let nodes = nodes();
    // It takes its time to end, and serves meanwhile.
    let slow = json!({"spec": {
        "terminationGracePeriodSeconds": 40,
        "containers": [{"lifecycle": {"preStop": {"sleep": {"seconds": 35}}},
            "readinessProbe": {"httpGet": {"path": "/hostname", "port": 8080}, "periodSeconds": 1}}],
    }});
    space.create("old", nodes[1].name(), &[("app", "web")], &["netexec", "--http-port=8080"], slow);
    space.running("old");
    let client = space.pod("client", nodes[0].name(), &[]);
    let to = service(&space, "web", json!({}));
    leads_to(&space, &client, &nodes[0], to, &["old"]);
    space.kubectl("delete pod old --wait=false").expect("it is told to end");
    space.until("its endpoint terminates", || {
        let slices = space.kubectl("get endpointslices -l kubernetes.io/service-name=web -o json")?;
        ensure!(slices.contains("\"terminating\": true"), "{slices}");
        Ok(())
    });
    leads_to(&space, &client, &nodes[0], to, &["old"]);
    space.pod("new", nodes[0].name(), &[("app", "web")]);
    leads_to(&space, &client, &nodes[0], to, &["new"]);
    space.kubectl("delete pod old --wait=false --force --grace-period=0").expect("it ends");
}

/// Two nodes in zones of their own, which are theirs as long as this lives.
struct Zones<'a>(&'a Space, &'a [Node]);

impl<'a> Zones<'a> {
    #[track_caller]
    fn set(space: &'a Space, nodes: &'a [Node]) -> Self {
        for (node, zone) in nodes.iter().zip(["east", "west"]) {
            let label = format!("label node {} topology.kubernetes.io/zone={zone} --overwrite", node.name());
            space.kubectl(&label).expect("a zone");
        }
        Self(space, nodes)
    }
}

impl Drop for Zones<'_> {
    fn drop(&mut self) {
        for node in self.1 {
            let _ = self.0.kubectl(&format!("label node {} topology.kubernetes.io/zone-", node.name()));
        }
    }
}

#[test]
fn traffic_stays_in_its_zone_or_on_its_node_where_the_service_prefers_it() {
    let space = Space::new("zones");
    let nodes = nodes();
    let _zones = Zones::set(&space, &nodes[..2]);
    let [(here, node, own), (there, other, others)] = both(&space, &nodes, "web");
    let to = service(&space, "web", json!({}));
    leads_to(&space, &here, node, to, &[&own, &others]);
    for preference in ["PreferClose", "PreferSameNode"] {
        service(&space, "web", json!({"trafficDistribution": preference}));
        leads_to(&space, &here, node, to, &[&own]);
        leads_to(&space, &there, other, to, &[&others]);
    }
    // Without one of its own, whoever there is.
    space.kubectl(&format!("label pod {own} app-")).expect("it is no backend any more");
    leads_to(&space, &here, node, to, &[&others]);
}

#[test]
fn a_port_may_be_named_by_its_pods() {
    let space = Space::new("named");
    let nodes = nodes();
    let ports = json!({"spec": {"containers": [{"ports": [{"name": "web", "containerPort": 8080}]}]}});
    space.create("web", nodes[1].name(), &[("app", "web")], &["netexec", "--http-port=8080"], ports);
    space.running("web");
    let client = space.pod("client", nodes[0].name(), &[]);
    let to = service(&space, "web", json!({"ports": [{"port": PORT, "targetPort": "web"}]}));
    leads_to(&space, &client, &nodes[0], to, &["web"]);
}

#[test]
fn what_is_no_cluster_ip_or_another_proxys_is_left_alone() {
    let space = Space::new("others");
    let nodes = nodes();
    let web = space.pod("web", nodes[1].name(), &[("app", "web")]);
    let client = space.pod("client", nodes[0].name(), &[]);
    for (name, spec) in [
        ("headless", json!({"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 8080}]})),
        ("elsewhere", json!({"type": "ExternalName", "externalName": "web.example"})),
    ] {
        space.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}));
    }
    let to = service(&space, "web", json!({}));
    leads_to(&space, &client, &nodes[0], to, &["web"]);
    // A line of `ferrule service list` says why it is left alone.
    let line = |name: &str| -> Result<String> {
        let known = nodes[0].ferrule("service list")?;
        let own = format!("{}/{name} ", space.name);
        known.lines().find(|line| line.starts_with(&own)).map(str::to_owned).with_context(|| known.clone())
    };
    for name in ["headless", "elsewhere"] {
        let line = line(name).expect("it is known");
        assert!(line.ends_with("it has no address"), "{line}");
    }
    // By name it is the pod itself.
    space.until("the headless name", || {
        space.connects(&client, &format!("headless.{}.svc.cluster.local:8080", space.name))
    });
    assert_eq!(answers(&client, &nodes[0], SocketAddr::new(web.ip(false), 8080)).expect("an answer"), "web");

    space.kubectl("label service web service.kubernetes.io/service-proxy-name=another").expect("a label");
    space.until("it is another proxy's", || {
        let line = line("web")?;
        ensure!(line.ends_with("another serves it"), "{line}");
        Ok(())
    });
    refused(answers(&client, &nodes[0], to).map(drop), "a Service that nobody serves");
    space.kubectl("label service web service.kubernetes.io/service-proxy-name-").expect("it is ours again");
    leads_to(&space, &client, &nodes[0], to, &["web"]);
}
