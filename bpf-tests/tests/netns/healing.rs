//! Whatever somebody breaks on the host, the agent mends: links and routes within two seconds, the rest within thirty.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use aya::{
    maps::{HashMap, Map, MapData},
    programs::{
        SchedClassifier, TcAttachType,
        tc::{NlOptions, TcAttachOptions, TcHandle},
    },
};
use ferrule_common::{Address, endpoint::Endpoint, peer::Peer};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use test_kit::{
    topology::{Cluster, Layout, Netns, Node, Pod, Routing, manifest, patience},
    traffic::{Echo, Flow, Ping},
};

use crate::support::within;

/// Two seconds are promised for links and routes. A loaded machine gets more, and still less than the ten seconds that it
/// would take without an event.
const SOON: Duration = Duration::from_secs(6);
/// What is promised for the rest.
const LATER: Duration = Duration::from_secs(30);

/// Settings that are broken here.
const SETTINGS: [&str; 8] = [
    "ipv4/ip_forward",
    "ipv6/conf/all/forwarding",
    "ipv4/conf/LINK/rp_filter",
    "ipv4/conf/LINK/forwarding",
    "ipv6/conf/LINK/accept_ra",
    "ipv6/conf/LINK/disable_ipv6",
    "ipv6/conf/ferrule-vxlan/disable_ipv6",
    "ipv4/conf/all/forwarding",
];

/// A cluster with a pod on each node.
struct Scene<'a> {
    cluster: &'a Cluster,
    a: Pod,
    b: Pod,
    link: String,
}

impl<'a> Scene<'a> {
    fn new(cluster: &'a Cluster) -> Result<Self> {
        let (a, b) = (cluster.nodes[0].add("a")?, cluster.nodes[1].add("b")?);
        let link = a.host_link()?;
        let scene = Self { cluster, a, b, link };
        scene.is_whole()?;
        Ok(scene)
    }

    fn node(&self) -> &'a Node {
        &self.cluster.nodes[0]
    }

    /// Runs `ip` on the first node; `LINK` is its pod's link, `V4` and `V6` are its pod's addresses.
    fn ip(&self, words: &str) -> Result<()> {
        self.node().netns.ip(&self.filled(words)?).map(drop)
    }

    fn filled(&self, words: &str) -> Result<String> {
        let address = |v4| self.a.address(v4).map(|ip| ip.to_string()).context("the pod has both families");
        Ok(words.replace("LINK", &self.link).replace("V4", &address(true)?).replace("V6", &address(false)?))
    }

    /// No check of the doctor fails, and pods and node reach each other.
    fn is_whole(&self) -> Result<()> {
        let findings = self.node().doctor()?;
        let failures: Vec<_> = findings.iter().filter(|finding| finding["verdict"] == "failure").collect();
        ensure!(failures.is_empty(), "{failures:?}");
        let ask = |from: &Netns, to: &[IpAddr]| to.iter().try_for_each(|to| Ping::to(*to).once(from).map(drop));
        ask(&self.a.netns, &self.b.addresses)?;
        ask(&self.b.netns, &self.a.addresses)?;
        ask(&self.node().netns, &self.a.addresses)?;
        ask(&self.node().netns, &self.b.addresses)
    }

    /// What the kernel holds of the first node, in words: links, routes, neighbours, settings, programs, map entries.
    fn kernel(&self) -> Result<String> {
        let (node, netns) = (self.node(), &self.node().netns);
        let mut text = String::new();
        for words in ["-d link show", "route show table all", "-6 route show table all", "neigh show nud permanent"] {
            text += &netns.ip(words)?;
        }
        for device in [self.link.as_str(), "eth0"] {
            for hook in ["ingress", "egress"] {
                let output = netns.command("tc").args(["filter", "show", "dev", device, hook]).output()?;
                text += &String::from_utf8_lossy(&output.stdout);
            }
            let output = netns.command("tc").args(["qdisc", "show", "dev", device]).output()?;
            text += &String::from_utf8_lossy(&output.stdout);
        }
        for key in SETTINGS {
            let key = self.filled(key)?;
            let value = netns.enter(|| fs::read_to_string(Path::new("/proc/sys/net").join(&key)))?;
            text += &format!("{key} {}", value.unwrap_or_default());
        }
        let mut links: Vec<_> =
            fs::read_dir(node.pins().join("links")).map(|all| all.flatten().collect()).unwrap_or_default();
        links.sort_by_key(fs::DirEntry::file_name);
        links.iter().for_each(|link| text += &format!("{:?}\n", link.file_name()));
        let endpoints: HashMap<_, Address, Endpoint> =
            HashMap::try_from(Map::HashMap(MapData::from_pin(node.maps()?.join("fr_endpoints"))?))?;
        let peers: HashMap<_, Address, Peer> =
            HashMap::try_from(Map::HashMap(MapData::from_pin(node.maps()?.join("fr_peers"))?))?;
        text += &format!("{} endpoints, {} peers\n", endpoints.keys().count(), peers.keys().count());
        Ok(text)
    }

    /// Breaks something while the agent holds its breath, so that it is seen to be broken; the agent mends it in time.
    fn heals(&self, what: &str, limit: Duration, break_it: impl FnOnce() -> Result<()>) -> Result<()> {
        let agent = Pid::from_raw(i32::try_from(self.node().agent_process()?)?);
        kill(agent, Signal::SIGSTOP)?;
        let broken = (|| {
            let before = self.kernel()?;
            break_it().with_context(|| format!("to break: {what}"))?;
            ensure!(self.kernel()? != before, "{what}: nothing broke:\n{before}");
            Ok(())
        })();
        kill(agent, Signal::SIGCONT)?;
        broken?;
        let (start, limit) = (Instant::now(), patience(limit));
        loop {
            let outcome = self.is_whole();
            let elapsed = start.elapsed();
            match outcome {
                Ok(()) => {
                    eprintln!("{what}: mended after {} ms", elapsed.as_millis());
                    return Ok(());
                }
                Err(error) if elapsed > limit => {
                    return Err(error.context(format!("{what}: not mended after {} s", limit.as_secs())));
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

#[test]
fn of_links() {
    within(&Layout::default(), |cluster| {
        let scene = Scene::new(cluster)?;
        for words in [
            "link set LINK down",
            "link set LINK address 02:00:00:00:00:99",
            "link set LINK mtu 1300",
            "link set ferrule-vxlan down",
            "link set ferrule-vxlan address 02:00:00:00:00:98",
            "link set ferrule-vxlan mtu 1300",
            "link del ferrule-vxlan",
        ] {
            scene.heals(words, SOON, || scene.ip(words))?;
        }
        Ok(())
    });
}

#[test]
fn of_routes_under_traffic_by_vxlan() {
    routes_under_traffic(Routing::Vxlan);
}

#[test]
fn of_routes_under_traffic_by_native_routing() {
    routes_under_traffic(Routing::Native);
}

/// The host's routes, neighbours and settings are not on pods' way: their traffic does not notice.
fn routes_under_traffic(routing: Routing) {
    within(&Layout { routing, ..Layout::default() }, |cluster| {
        let scene = Scene::new(cluster)?;
        let _server = Echo::start(&scene.b.netns, &scene.b.addresses)?;
        let flows = scene.b.addresses.iter().map(|to| Flow::start(&scene.a.netns, *to)).collect::<Result<Vec<_>>>()?;
        for words in [
            "route del V4",
            "-6 route del V6",
            "route del 10.244.2.0/24",
            "-6 route del fd00:244:2::/64",
            "route del unreachable 10.244.0.0/16",
            "route flush proto 102",
        ] {
            scene.heals(words, SOON, || scene.ip(words))?;
        }
        // What no event tells, all at once.
        scene.heals("neighbours and settings", LATER, || {
            scene.ip("neigh del V4 dev LINK")?;
            scene.ip("neigh del V6 dev LINK")?;
            for (key, value) in [
                ("ipv4/ip_forward", "0"),
                ("ipv6/conf/all/forwarding", "0"),
                ("ipv4/conf/LINK/rp_filter", "1"),
                ("ipv4/conf/LINK/forwarding", "0"),
                ("ipv6/conf/LINK/accept_ra", "1"),
            ] {
                scene.node().netns.sysctl(&scene.filled(key)?, value)?;
            }
            Ok(())
        })?;
        for flow in flows {
            let longest = flow.end()?;
            ensure!(longest < patience(Duration::from_millis(500)), "a flow stood still for {longest:?}");
        }
        Ok(())
    });
}

#[test]
fn of_settings_that_traffic_needs() {
    within(&Layout::default(), |cluster| {
        let scene = Scene::new(cluster)?;
        for key in ["ipv6/conf/LINK/disable_ipv6", "ipv6/conf/ferrule-vxlan/disable_ipv6"] {
            let path = scene.filled(key)?;
            scene.heals(key, LATER, || scene.node().netns.sysctl(&path, "1"))?;
        }
        Ok(())
    });
}

#[test]
fn of_attachments() {
    for attach in ["tcx", "clsact"] {
        let arguments: &'static [&'static str] =
            if attach == "tcx" { &["--attach", "tcx"] } else { &["--attach", "clsact"] };
        within(&Layout { arguments, ..Layout::default() }, |cluster| {
            let scene = Scene::new(cluster)?;
            let tc = |words: &str| {
                let words = scene.filled(words)?;
                let output = scene.node().netns.command("tc").args(words.split_whitespace()).output()?;
                ensure!(output.status.success(), "tc {words}: {}", String::from_utf8_lossy(&output.stderr));
                Ok(())
            };
            scene.heals("from_pod", LATER, || tc("filter del dev LINK ingress"))?;
            scene.heals("to_pod", LATER, || tc("filter del dev LINK egress"))?;
            scene.heals("clsact", LATER, || tc("qdisc del dev LINK clsact"))?;
            if attach == "clsact" {
                scene.heals("a device's clsact", LATER, || tc("qdisc del dev eth0 clsact"))?;
                return Ok(());
            }
            scene.heals("links", LATER, || {
                let links = ["eth0-ingress", "eth0-egress", "ferrule-vxlan-ingress", "ferrule-vxlan-egress"];
                let folder = scene.node().pins().join("links");
                links.iter().try_for_each(|link| Ok(std::fs::remove_file(folder.join(link))?))
            })
        });
    }
}

/// Puts a pinned program on a link, behind what is there.
fn stray(pin: &Path, link: &str) -> Result<()> {
    let options = NlOptions { priority: 9, handle: TcHandle::new(0, 1), classid: None };
    let mut program = SchedClassifier::from_pin(pin)?;
    let id = program.attach_with_options(link, TcAttachType::Ingress, TcAttachOptions::Netlink(options))?;
    // Dropping the link would remove it.
    std::mem::forget(program.take_link(id)?);
    Ok(())
}

#[test]
fn of_a_program_on_a_pods_link_that_is_for_the_nodes_devices() {
    within(&Layout { arguments: &["--attach", "clsact"], ..Layout::default() }, |cluster| {
        let scene = Scene::new(cluster)?;
        let tc = |words: &str| {
            let words = scene.filled(words)?;
            let output = scene.node().netns.command("tc").args(words.split_whitespace()).output()?;
            ensure!(output.status.success(), "tc {words}: {}", String::from_utf8_lossy(&output.stderr));
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let id = tc("filter show dev eth0 ingress")?;
        let id =
            id.split_whitespace().skip_while(|word| *word != "id").nth(1).context("from_netdev has an id")?.to_owned();
        let pin = scene.node().pins().join("stray");
        let output = std::process::Command::new("bpftool").args(["prog", "pin", "id", &id]).arg(&pin).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // As a former agent would.
        scene.node().netns.enter(|| stray(&pin, &scene.link))??;
        std::fs::remove_file(&pin)?;
        ensure!(tc("filter show dev LINK ingress")?.contains("pref 9"), "{}", tc("filter show dev LINK ingress")?);
        let shown = || tc("filter show dev LINK ingress").unwrap_or_default();
        let limit = Instant::now() + patience(LATER);
        while shown().contains("pref 9") {
            ensure!(Instant::now() < limit, "it is still there: {}", shown());
            thread::sleep(Duration::from_millis(200));
        }
        ensure!(shown().contains("from_pod"), "the pod's own went, too: {}", shown());
        scene.is_whole()
    });
}

#[test]
fn of_map_entries() {
    within(&Layout::default(), |cluster| {
        let scene = Scene::new(cluster)?;
        cluster.publish(&scene.b, &cluster.nodes[1])?;
        let known = || scene.node().ferrule("status").map(|status| status["remotePods"].as_u64()).unwrap_or_default();
        test_kit::topology::until("the other node's pod to be known", known, |known| {
            known.is_some_and(|known| known > 0)
        })?;
        let folder = scene.node().maps()?;
        scene.heals("fr_endpoints", LATER, || {
            let map: HashMap<_, Address, Endpoint> =
                HashMap::try_from(Map::HashMap(MapData::from_pin(folder.join("fr_endpoints"))?))?;
            empty(map)
        })?;
        scene.heals("fr_peers", LATER, || {
            let map: HashMap<_, Address, Peer> =
                HashMap::try_from(Map::HashMap(MapData::from_pin(folder.join("fr_peers"))?))?;
            empty(map)
        })
    });
}

#[test]
fn while_other_nodes_pods_come_and_go_all_the_time() {
    within(&Layout::default(), |cluster| {
        let scene = Scene::new(cluster)?;
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let changing = scope.spawn(|| {
                for last in (10..200).cycle().take_while(|_| !over.load(Ordering::Relaxed)) {
                    let address = IpAddr::from([10, 244, 2, last]);
                    cluster.manifests.write("changing", &manifest::pod("changing", "n2", &[address]))?;
                    thread::sleep(Duration::from_millis(50));
                }
                Ok(())
            });
            // More often than any round's pause ends.
            thread::sleep(Duration::from_secs(1));
            let healed = scene.heals("fr_endpoints beside changes", LATER, || {
                let pin = scene.node().maps()?.join("fr_endpoints");
                let map: HashMap<_, Address, Endpoint> = HashMap::try_from(Map::HashMap(MapData::from_pin(pin)?))?;
                empty(map)
            });
            over.store(true, Ordering::Relaxed);
            let changed: Result<()> = changing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            healed.and(changed)
        })
    });
}

#[test]
fn firewalls_that_drop_are_named_and_pods_do_not_mind() {
    within(&Layout::default(), |cluster| {
        let scene = Scene::new(cluster)?;
        for words in [
            "add table ip filter",
            "add chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }",
            "add table inet strict",
            "add chain inet strict in { type filter hook input priority 0 ; policy drop ; }",
            "add rule inet strict in udp dport 8472 accept",
            "add rule inet strict in meta l4proto { icmp, ipv6-icmp } accept",
        ] {
            let output = scene.node().netns.command("nft").args(words.split_whitespace()).output()?;
            ensure!(output.status.success(), "nft {words}: {}", String::from_utf8_lossy(&output.stderr));
        }
        names(scene.node(), &["chain FORWARD of table ip filter", "nft insert rule ip filter FORWARD iifname"])?;
        names(
            scene.node(),
            &["chain in of table inet strict", "nft insert rule inet strict in udp dport 8472 accept"],
        )?;
        scene.is_whole()
    });
}

/// The doctor finds something that it says in these words.
fn names(node: &Node, words: &[&str]) -> Result<()> {
    let text = serde_json::to_string(&node.doctor()?)?;
    let missing = words.iter().find(|words| !text.contains(**words));
    missing.map_or(Ok(()), |words| bail!("the doctor does not say {words:?}: {text}"))
}

fn empty<V: aya::Pod>(mut map: HashMap<MapData, Address, V>) -> Result<()> {
    let keys = map.keys().collect::<Result<Vec<_>, _>>()?;
    ensure!(!keys.is_empty(), "the map is empty already");
    keys.iter().try_for_each(|key| Ok(map.remove(key)?))
}

#[test]
fn at_once_where_the_doctor_is_asked_to() {
    within(&Layout::default(), |cluster| {
        let scene = Scene::new(cluster)?;
        scene.ip("neigh del V4 dev LINK")?;
        scene.node().netns.sysctl("ipv4/ip_forward", "0")?;
        names(scene.node(), &["neighbour entry", "net.ipv4.ip_forward is 0", "doctor --fix"])?;
        scene.node().ferrule("doctor --fix")?;
        scene.is_whole()
    });
}

#[test]
fn what_cannot_be_mended_is_named() {
    within(&Layout::default(), |cluster| {
        let scene = Scene::new(cluster)?;
        scene.ip("link del LINK")?;
        names(scene.node(), &[format!("the link {} is gone", scene.link).as_str(), "delete the pod"])?;
        ensure!(scene.node().ferrule("doctor").is_err(), "the doctor ends well although a check failed");
        scene.node().del(&scene.a)?;
        scene.node().ferrule("doctor").map(drop)
    });
}
