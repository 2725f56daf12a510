//! Beside what translates addresses in the host's stack: kube-proxy's Services and portmap's hostPorts, for whoever asks from
//! wherever. A test's own packets come from no process of a node, so that no socket program sees them.

use std::net::{IpAddr, SocketAddr};

use anyhow::{bail, ensure};
use serde_json::{Value, json};
use test_kit::{
    cluster::{Node, settings::internal_ips},
    topology::Netns,
    traffic::{Echo, PORT, Protocol, ask},
};

use crate::support::{Pod, Space, ferrule, nodes};

/// kube-proxy on two nodes, which goes with its rules when this is dropped.
struct Proxies(Vec<Node>);

impl Proxies {
    #[track_caller]
    fn start(mode: &str) -> Self {
        let nodes: Vec<Node> = nodes().into_iter().take(2).collect();
        let proxies = Self(nodes);
        proxies.0.iter().for_each(|node| node.start_proxy(mode).expect("kube-proxy starts"));
        proxies
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        for node in &self.0 {
            if std::thread::panicking() {
                let log = node.machine.folder.join("log/kube-proxy.log");
                let log = std::fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                eprintln!("kube-proxy of {}:\n{}", node.name(), lines[lines.len().saturating_sub(20)..].join("\n"));
            }
            let gone = node.end_proxy().and_then(|()| node.clean_proxy());
            if let Err(error) = gone {
                eprintln!("kube-proxy of {} leaves rules: {error:#}", node.name());
            }
        }
    }
}

/// Whoever asks: pods on the server's node and on the other, the server itself, both nodes, and a host outside.
struct Clients {
    near: Pod,
    far: Pod,
    itself: Netns,
    nodes: Vec<Netns>,
    outside: Netns,
}

impl Clients {
    #[track_caller]
    fn of(space: &Space, server: &Pod) -> Self {
        let nodes = nodes();
        let netns = |node: &Node| Netns::at(node.name(), node.machine.netns().expect("a running node"));
        Self {
            near: space.pod("near", nodes[0].name(), &[]),
            far: space.pod("far", nodes[1].name(), &[]),
            itself: Netns::at("the server itself", server.netns.path()),
            nodes: nodes.iter().take(2).map(netns).collect(),
            outside: Netns::known(&space.cluster.control.fabric.control()),
        }
    }

    fn pods(&self) -> impl Iterator<Item = &Netns> {
        [&self.near.netns, &self.far.netns, &self.itself].into_iter()
    }

    fn all(&self) -> impl Iterator<Item = &Netns> {
        self.pods().chain(&self.nodes).chain([&self.outside])
    }
}

/// A question, in the words that a failure is told with.
fn failures<'a>(from: impl Iterator<Item = &'a Netns>, to: SocketAddr, protocol: Protocol) -> Vec<String> {
    from.filter_map(|netns| ask(netns, to, protocol).err()).map(|error| format!("{error:#}")).collect()
}

/// The addresses of the nodes by which others know them.
fn node_ips() -> impl Iterator<Item = IpAddr> {
    [1, 2].into_iter().flat_map(internal_ips).map(|ip| ip.parse().expect("an address"))
}

#[track_caller]
fn until_beside(space: &Space, expected: bool) {
    for node in nodes().iter().take(2) {
        space.until(&format!("{} knows that kube-proxy's rules are there: {expected}", node.name()), || {
            let found = ferrule(node, "status")["kubeProxy"] == expected;
            if found { Ok(()) } else { bail!("it does not") }
        });
    }
}

#[test]
fn services_of_kube_proxy_are_reached_by_everybody_in_both_of_its_modes() {
    let space = Space::new("proxy");
    let server = space.pod("web", nodes()[0].name(), &[("app", "web")]);
    let echo = Echo::start(&server.netns, &server.ips).expect("an echo server");
    let clients = Clients::of(&space, &server);
    space.apply(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {
            "type": "NodePort", "selector": {"app": "web"}, "ipFamilyPolicy": "RequireDualStack",
            "ports": [
                {"name": "tcp", "protocol": "TCP", "port": 80, "targetPort": PORT},
                {"name": "udp", "protocol": "UDP", "port": 80, "targetPort": PORT},
                {"name": "http", "protocol": "TCP", "port": 81, "targetPort": 8080},
            ],
        },
    }));
    let object = space.get("service", "web").expect("a Service");
    let addresses: Vec<IpAddr> = list(&object["spec"]["clusterIPs"], |ip| ip.as_str()?.parse().ok());
    let node_ports: Vec<u16> = list(&object["spec"]["ports"], |port| u16::try_from(port["nodePort"].as_u64()?).ok());
    let mut failures = Vec::new();
    for mode in ["iptables", "nftables"] {
        let proxies = Proxies::start(mode);
        until_beside(&space, true);
        space.until(&format!("kube-proxy's rules are there ({mode})"), || {
            for (netns, ip) in clients.nodes.iter().zip([&addresses[0], &addresses[1]]) {
                ask(netns, SocketAddr::new(*ip, 80), Protocol::Tcp)?;
            }
            Ok(())
        });
        let mut found = Vec::new();
        for (protocol, node_port) in [(Protocol::Tcp, node_ports[0]), (Protocol::Udp, node_ports[1])] {
            for ip in &addresses {
                found.extend(self::failures(clients.pods().chain(&clients.nodes), SocketAddr::new(*ip, 80), protocol));
            }
            for ip in node_ips() {
                found.extend(self::failures(clients.all(), SocketAddr::new(ip, node_port), protocol));
            }
        }
        // What socket programs translate needs no rules, and they do not harm it.
        for (pod, ip) in
            [&clients.near, &clients.far, &server].into_iter().flat_map(|pod| addresses.iter().map(move |ip| (pod, ip)))
        {
            let to = SocketAddr::new(*ip, 81).to_string();
            found.extend(space.connects(pod, &to).err().map(|error| format!("{error:#}")));
        }
        failures.extend(found.into_iter().map(|words| format!("{mode}: {words}")));
        drop(proxies);
        // Else the next mode's first packets meet an agent that has just seen this one's rules go.
        until_beside(&space, false);
    }
    drop(echo);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn host_ports_of_portmap_are_reached_by_everybody() {
    const HOST_PORT: u16 = 17_007;
    let space = Space::new("hostport");
    let node = &nodes()[0];
    let port = |protocol: &str| json!({"containerPort": PORT, "hostPort": HOST_PORT, "protocol": protocol});
    let more = json!({"spec": {"containers": [{"ports": [port("TCP"), port("UDP")]}]}});
    space.create("web", node.name(), &[], &["netexec", "--http-port=8080"], more);
    let server = space.running("web");
    let echo = Echo::start(&server.netns, &server.ips).expect("an echo server");
    let clients = Clients::of(&space, &server);
    let mut found = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for ip in internal_ips(node.number) {
            let to = SocketAddr::new(ip.parse().expect("an address"), HOST_PORT);
            found.extend(failures(clients.all(), to, protocol));
        }
        let local = SocketAddr::from(([127, 0, 0, 1], HOST_PORT));
        found.extend(failures(clients.nodes.iter().take(1), local, protocol));
    }
    drop(echo);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_packet_that_no_socket_program_saw_is_refused_where_nothing_translates_it() {
    let space = Space::new("unseen");
    let nodes = nodes();
    let (server, client) =
        (space.pod("web", nodes[0].name(), &[("app", "web")]), space.pod("client", nodes[1].name(), &[]));
    let echo = Echo::start(&server.netns, &server.ips).expect("an echo server");
    space.apply(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": PORT}]},
    }));
    let object = space.get("service", "web").expect("a Service");
    let to = SocketAddr::new(object["spec"]["clusterIP"].as_str().expect("one").parse().expect("an address"), 80);
    space.until("sockets of the pod reach it", || space.connects(&client, &to.to_string()));
    let refused = || {
        let samples = ferrule(&nodes[1], "metrics");
        let all = samples.as_array().into_iter().flatten();
        let own = all.filter(|one| one["program"] == "from_pod" && one["outcome"] == "service");
        own.filter_map(|one| one["packets"].as_u64()).sum::<u64>()
    };
    let before = refused();
    assert!(ask(&client.netns, to, Protocol::Tcp).is_err(), "something translates {to}");
    space.until("the packet is counted with its reason", || {
        ensure!(refused() > before, "{}", ferrule(&nodes[1], "metrics"));
        Ok(())
    });
    drop(echo);
}

fn list<T>(array: &Value, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    array.as_array().into_iter().flatten().map(|one| read(one).expect("as the API server writes it")).collect()
}
