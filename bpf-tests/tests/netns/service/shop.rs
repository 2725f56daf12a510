//! A cluster with servers behind a Service, and clients on both nodes.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Cluster, Layout, Netns, Node, Pod, manifest, until},
    traffic::Named,
};

use super::client::Client;
use crate::support::within;

/// The Service's addresses.
pub const V4: &str = "10.96.0.10";
pub const V6: &str = "fd00:96::10";
/// Its port.
pub const PORT: u16 = 80;
/// The port that servers listen at.
pub const LISTENS: u16 = 8080;
/// The Service's ports, and its servers'.
const ASKED: [(&str, u16, &str); 2] = [("t", PORT, "TCP"), ("u", PORT, "UDP")];
const ANSWERED: [(&str, u16, &str); 2] = [("t", LISTENS, "TCP"), ("u", LISTENS, "UDP")];

pub struct Shop<'a> {
    pub cluster: &'a Cluster,
    /// Servers: `a` and `b` on the first node, `c` on the second.
    pub pods: Vec<Pod>,
    /// They end with the shop.
    _servers: Vec<Named>,
    /// One that only asks, on each node.
    pub clients: [Pod; 2],
}

/// Runs a test in a cluster with a Service `web` that all three servers are behind.
pub fn open(layout: &Layout, test: impl FnOnce(&Shop<'_>) -> Result<()>) {
    within(layout, |cluster| {
        let shop = Shop::new(cluster)?;
        shop.serve("", &shop.all())?;
        shop.leads_to("web", &["a", "b", "c"])?;
        test(&shop)
    });
}

impl<'a> Shop<'a> {
    /// The pods, without a Service.
    pub fn new(cluster: &'a Cluster) -> Result<Self> {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (mut pods, mut servers) = (Vec::new(), Vec::new());
        for (node, name) in [(n1, "a"), (n1, "b"), (n2, "c")] {
            let pod = node.add(name)?;
            cluster.publish(&pod, node)?;
            servers.push(Named::start(&pod.netns, &pod.addresses, LISTENS, name)?);
            pods.push(pod);
        }
        let clients = [n1.add("x")?, n2.add("z")?];
        cluster.publish(&clients[0], n1)?;
        cluster.publish(&clients[1], n2)?;
        Ok(Self { cluster, pods, _servers: servers, clients })
    }

    pub fn node(&self, number: usize) -> &'a Node {
        &self.cluster.nodes[number]
    }

    /// The Service's addresses with its port.
    pub fn addresses(&self) -> [SocketAddr; 2] {
        [V4, V6].map(|text| SocketAddr::new(text.parse().expect("an address"), PORT))
    }

    /// Pods and the nodes themselves.
    pub fn clients(&self) -> Vec<(String, Client<'_>)> {
        let mut all = Vec::new();
        for (number, pod) in self.clients.iter().enumerate() {
            let node = self.node(number);
            all.push((format!("a pod of {}", node.name), Client::new(node, &pod.netns)));
            all.push((format!("{} itself", node.name), Client::new(node, &node.netns)));
        }
        // One of its own backends.
        all.push(("a server".into(), Client::new(self.node(0), &self.pods[0].netns)));
        all
    }

    /// The pod that only asks, on the first node.
    pub fn client(&self) -> Client<'_> {
        Client::new(self.node(0), &self.clients[0].netns)
    }

    /// Every address of some servers, with more of each endpoint.
    pub fn endpoints(&self, servers: &[(&str, &'static str)]) -> Vec<(IpAddr, &'static str)> {
        let of = |name: &str| self.pods.iter().find(|pod| pod.name == name).expect("a server");
        servers.iter().flat_map(|(name, more)| of(name).addresses.iter().map(|ip| (*ip, *more))).collect()
    }

    pub fn all(&self) -> Vec<(IpAddr, &'static str)> {
        self.endpoints(&[("a", ", nodeName: n1"), ("b", ", nodeName: n1"), ("c", ", nodeName: n2")])
    }

    /// Writes the Service and its slices.
    pub fn serve(&self, spec: &str, endpoints: &[(IpAddr, &str)]) -> Result<()> {
        self.serve_as("web", &[V4, V6], spec, endpoints)
    }

    pub fn serve_as(&self, name: &str, ips: &[&str], spec: &str, endpoints: &[(IpAddr, &str)]) -> Result<()> {
        let ips: Vec<IpAddr> = ips.iter().map(|ip| ip.parse()).collect::<Result<_, _>>()?;
        let text = manifest::service(name, &ips, &ASKED, spec) + &manifest::slices(name, &ANSWERED, endpoints);
        self.cluster.manifests.write(name, &text)
    }

    /// Waits until both nodes lead to these servers, by TCP over all of the Service's families.
    pub fn leads_to(&self, name: &str, servers: &[&str]) -> Result<()> {
        self.cluster.nodes.iter().try_for_each(|node| self.node_leads_to(node, name, servers))
    }

    pub fn node_leads_to(&self, node: &Node, name: &str, servers: &[&str]) -> Result<()> {
        let endpoints = self.endpoints(&servers.iter().map(|name| (*name, "")).collect::<Vec<_>>());
        let all: BTreeSet<String> = endpoints.iter().map(|(ip, _)| SocketAddr::new(*ip, LISTENS).to_string()).collect();
        let both = || {
            let shown = node.ferrule(&format!("service get default/{name}")).unwrap_or_default();
            let ports = shown[0]["ports"].as_array().cloned().unwrap_or_default();
            let tcp: Vec<_> =
                ports.into_iter().filter(|port| port["protocol"] == "TCP" && port["inForce"] == true).collect();
            let v4 = tcp
                .iter()
                .map(|port| port["frontend"].as_str().unwrap_or_default().starts_with('1'))
                .collect::<Vec<_>>();
            let backends = tcp.iter().flat_map(|port| port["backends"].as_array().cloned().unwrap_or_default());
            let chosen = backends.filter(|backend| backend["chosen"] == true);
            (v4, chosen.filter_map(|backend| Some(backend["backend"].as_str()?.to_owned())).collect::<BTreeSet<_>>())
        };
        let what = format!("{} to lead to {servers:?}", node.name);
        let wanted =
            |v4: &[bool]| all.iter().filter(|one| v4.contains(&one.starts_with('1'))).cloned().collect::<BTreeSet<_>>();
        until(&what, both, |(v4, found)| !v4.is_empty() && *found == wanted(v4)).map(drop)
    }

    /// Waits until every port of the first node's has this affinity.
    pub fn keeps_clients_for(&self, seconds: &str) -> Result<()> {
        let ports = || self.node(0).ferrule("map dump fr_services").unwrap_or_default();
        let kept = |map: &serde_json::Value| {
            map.as_array()
                .is_some_and(|all| all.iter().filter(|one| one["port"] != "0").all(|one| one["affinity"] == seconds))
        };
        until("the affinity", ports, kept).map(drop)?;
        let ports = || self.node(1).ferrule("map dump fr_services").unwrap_or_default();
        until("the affinity", ports, kept).map(drop)
    }
}

/// Who answers a client's connections.
pub fn who(client: Client<'_>, to: SocketAddr, times: usize) -> Result<BTreeSet<String>> {
    (0..times).map(|_| Ok(client.tcp(to)??.name)).collect()
}

/// That these answer, and no others.
pub fn only(client: Client<'_>, to: SocketAddr, expected: &[&str]) -> Result<()> {
    let found = who(client, to, 40)?;
    let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    ensure!(found == expected, "{to} leads to {found:?} and not to {expected:?}");
    Ok(())
}

/// That something takes less than it would if anybody waited.
pub fn at_once<T>(what: &str, work: impl FnOnce() -> T) -> Result<T> {
    let start = std::time::Instant::now();
    let result = work();
    let took = start.elapsed();
    ensure!(took < test_kit::topology::patience(Duration::from_millis(300)), "{what} took {took:?}");
    Ok(result)
}

/// Runs a command in a namespace, with text as its input.
pub fn feed(netns: &Netns, program: &str, arguments: &[&str], text: &str) -> Result<()> {
    use std::{io::Write, process::Stdio};
    let mut command = netns.command(program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
