//! Bad input on a cluster: each gets words that name the object and the field, in the agent's status and log and as an Event
//! on the object; what was in force stays.

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use test_kit::{
    cluster::{Component, Node},
    traffic::{Echo, PORT, Protocol, probe},
};

use crate::support::{
    Space,
    agent::{issues, kubectl, log, readyz, rolled_out, synced, told},
    nodes,
};

/// What the agent follows.
const KINDS: [&str; 6] = ["nodes", "namespaces", "pods", "services", "networkpolicies", "endpointslices"];

/// The agents' role, which is as it was when this is dropped.
struct Role<'a> {
    space: &'a Space,
    whole: Value,
}

impl<'a> Role<'a> {
    #[track_caller]
    fn of(space: &'a Space) -> Self {
        let text = kubectl(space, "get clusterrole ferrule -o json").expect("the agents' role");
        let mut whole: Value = serde_json::from_str(&text).expect("JSON");
        // Written again, it is not compared with what it was.
        whole["metadata"].as_object_mut().expect("an object").remove("resourceVersion");
        Self { space, whole }
    }

    /// Leaves the verbs that `may` says of a resource.
    #[track_caller]
    fn only(&self, may: impl Fn(&str, &str) -> bool) {
        let mut role = self.whole.clone();
        let rules = role["rules"].as_array_mut().expect("a list");
        let mut kept = Vec::new();
        for rule in rules.iter() {
            for resource in words(&rule["resources"]) {
                let verbs: Vec<String> =
                    words(&rule["verbs"]).into_iter().filter(|verb| may(&resource, verb)).collect();
                if !verbs.is_empty() {
                    kept.push(json!({"apiGroups": rule["apiGroups"], "resources": [resource], "verbs": verbs}));
                }
            }
        }
        *rules = kept;
        self.space.cluster.apply(&role.to_string()).expect("another role");
    }

    /// A new agent on a node, with the verbs of now.
    #[track_caller]
    fn restart(&self, node: &Node) {
        // Not by force: a kubelet may stumble over a pod that is gone while its containers start.
        let line = format!(
            "delete pods -n kube-system -l app.kubernetes.io/name=ferrule --field-selector=spec.nodeName={}",
            node.name()
        );
        kubectl(self.space, &line).expect("its agent is removed");
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.space.cluster.apply(&self.whole.to_string()) {
            eprintln!("the agents' role is not as it was: {error:#}");
        }
    }
}

/// Waits until an object has an Event with these words.
#[track_caller]
fn event(space: &Space, kind: &str, name: &str, part: &str) {
    space.until(&format!("{kind} {name} has an Event with {part:?}"), || {
        let list: Value = serde_json::from_str(&kubectl(space, "get events --all-namespaces -o json")?)?;
        let own = |one: &&Value| one["involvedObject"]["kind"] == kind && one["involvedObject"]["name"] == name;
        let words: Vec<&str> = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(own)
            .filter_map(|one| one["message"].as_str())
            .collect();
        if words.iter().any(|words| words.contains(part)) { Ok(()) } else { bail!("{words:?}") }
    });
}

#[test]
fn each_verb_that_the_agents_role_lacks_is_named_and_nothing_else_stops() {
    let space = Space::new("verbs");
    let nodes = nodes();
    let (client, server) = (space.pod("client", nodes[0].name(), &[]), space.pod("web", nodes[1].name(), &[]));
    let echo = Echo::start(&server.netns, &server.ips).expect("an echo server");
    let serves = || server.ips.iter().try_for_each(|ip| probe(&client.netns, *ip, Protocol::Tcp).map(drop));
    let role = Role::of(&space);

    role.only(|_, verb| verb != "list");
    role.restart(&nodes[0]);
    KINDS.iter().for_each(|kind| told(&space, &nodes[0], &[kind, "cannot be watched", "forbidden"]));
    let (number, words) = readyz(&nodes[0]).expect("it answers");
    assert!(number == 503 && words.contains("have not been read yet") && words.contains("forbidden"), "{words}");
    space.until("its log tells, too", || {
        let log = log(&space, &nodes[0])?;
        if log.contains("forbidden") { Ok(()) } else { bail!("{log}") }
    });
    serves().expect("what the former agent had in force stays");

    role.only(|_, verb| verb != "watch");
    KINDS.iter().for_each(|kind| told(&space, &nodes[0], &[kind, "cannot be watched", "forbidden"]));
    serves().expect("what was in force stays");

    role.only(|resource, verb| KINDS.contains(&resource) && (verb == "list" || verb == "watch"));
    role.restart(&nodes[0]);
    told(&space, &nodes[0], &["nodes", "forbidden"]);
    let alone = space.pod("alone", nodes[0].name(), &[]);
    told(&space, &nodes[0], &["pods/status", "forbidden"]);
    probe(&alone.netns, server.ip(false), Protocol::Tcp).expect("pods are added without it");

    drop(role);
    synced(&space, &nodes[0]);
    rolled_out(&space);
    serves().expect("what was in force stays");
    drop(echo);
}

/// Nodes without machines, which are gone with this, and so is what the controller manager thinks of their pod CIDRs.
struct Ghosts<'a>(&'a Space);

impl Ghosts<'_> {
    #[track_caller]
    fn add(&self, name: &str, cidrs: &[String]) {
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs},
        });
        self.0.cluster.apply(&node.to_string()).expect("a Node");
    }
}

impl Drop for Ghosts<'_> {
    fn drop(&mut self) {
        let _ = kubectl(self.0, "delete node ghost twin --ignore-not-found");
        let _ = self.0.kubectl("delete pod squatter --force --grace-period=0 --ignore-not-found");
        let control = &self.0.cluster.control;
        let again =
            control.kill(Component::ControllerManager).and_then(|()| control.start(Component::ControllerManager));
        if let Err(error) = again {
            eprintln!("the controller manager is not there: {error:#}");
        }
    }
}

#[test]
fn objects_that_contradict_each_other_are_named_and_the_older_one_stays_in_force() {
    let space = Space::new("contradiction");
    let nodes = nodes();
    let (client, server) =
        (space.pod("client", nodes[0].name(), &[]), space.pod("web", nodes[1].name(), &[("app", "web")]));
    let echo = Echo::start(&server.netns, &server.ips).expect("an echo server");
    space.apply(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }));
    let own = |node: &Node| -> Vec<String> {
        let object: Value =
            serde_json::from_str(&kubectl(&space, &format!("get node {} -o json", node.name())).expect("a Node"))
                .expect("JSON");
        words(&object["spec"]["podCIDRs"])
    };
    let address = words(&space.get("service", "web").expect("a Service")["spec"]["clusterIPs"]).remove(0);
    let ghosts = Ghosts(&space);
    ghosts.add("ghost", &["10.244.201.0/24".into(), "fd00:244:0:201::/64".into()]);
    ghosts.add("twin", &own(&nodes[1]));
    space.create("squatter", "ghost", &[], &["pause"], json!({}));
    let status = json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}}).to_string();
    let patch = ["-n", &space.name, "patch", "pod", "squatter", "--subresource=status", "--type=merge", "-p", &status];
    space.cluster.kubectl(&patch).expect("a status");

    let (service, squatter) = (format!("Service {}/web", space.name), format!("Pod {}/squatter", space.name));
    for node in nodes.iter().take(2) {
        told(&space, node, &["Node ghost: status.addresses", "no InternalIP"]);
        told(&space, node, &["Node twin: spec.podCIDRs[0]", "of node n2"]);
        told(&space, node, &["Node twin: spec.podCIDRs[1]", "of node n2"]);
        told(&space, node, &[&squatter, "status.podIPs", &address, &service]);
    }
    event(&space, "Node", "ghost", "no InternalIP");
    event(&space, "Node", "twin", "of node n2");
    event(&space, "Pod", "squatter", &address);
    for ip in &server.ips {
        probe(&client.netns, *ip, Protocol::Tcp).expect("the pod CIDR is still the older node's");
    }
    space.until("the Service is still a Service", || space.connects(&client, &format!("{address}:80")));
    let log = log(&space, &nodes[0]).expect("a log");
    for part in ["Node ghost: status.addresses", "Node twin: spec.podCIDRs[0]", &squatter] {
        assert!(log.contains(part), "the log does not tell of {part}");
    }
    drop(ghosts);
    for node in nodes.iter().take(2) {
        space.until("nothing is wrong any more", || {
            let all = issues(node)?;
            if all.is_empty() { Ok(()) } else { bail!("{all:#?}") }
        });
    }
    drop(echo);
}

#[test]
fn an_object_with_a_bad_value_keeps_its_last_good_state() {
    let space = Space::new("bad-value");
    let nodes = nodes();
    let web = space.pod("web", nodes[1].name(), &[("app", "web")]);
    let echo = Echo::start(&web.netns, &web.ips).expect("an echo server");
    let (friend, stranger) = (space.pod("friend", nodes[0].name(), &[]), space.pod("stranger", nodes[0].name(), &[]));
    let policy = |cidr: &str| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "only"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "web"}},
                "ingress": [{"from": [{"ipBlock": {"cidr": cidr}}], "ports": [{"port": PORT}]}],
            },
        })
    };
    let good = policy(&format!("{}/32", friend.ip(false)));
    space.apply(good.clone());
    let holds = || -> Result<()> {
        probe(&friend.netns, web.ip(false), Protocol::Tcp)?;
        ensure!(probe(&stranger.netns, web.ip(false), Protocol::Tcp).is_err(), "a stranger reaches it");
        Ok(())
    };
    space.until("the policy is in force", holds);
    let mut object = space.get("networkpolicy", "only").expect("a policy");
    object["spec"]["ingress"][0]["from"][0]["ipBlock"]["cidr"] = json!("10.0.0.0/99");
    object["metadata"].as_object_mut().expect("an object").remove("resourceVersion");
    // The API server refuses such a value; an older one may have taken it.
    let key = format!("networkpolicies/{}/only", space.name);
    space.cluster.control.write_unchecked(&key, &object.to_string()).expect("etcd takes it");
    let named = format!("NetworkPolicy {}/only", space.name);
    for node in nodes.iter().take(2) {
        told(
            &space,
            node,
            &[&named, "spec.ingress[0].from[0].ipBlock.cidr", "10.0.0.0/99", "its last good state stands"],
        );
    }
    event(&space, "NetworkPolicy", "only", "spec.ingress[0].from[0].ipBlock.cidr");
    holds().expect("its last good state stands");

    // An agent that starts now has never known it: the policy closes what it selects, and holds up nothing else.
    Role::of(&space).restart(&nodes[1]);
    rolled_out(&space);
    told(&space, &nodes[1], &[&named, "the pods that it may select are isolated"]);
    synced(&space, &nodes[1]);
    for client in [&friend, &stranger] {
        assert!(
            probe(&client.netns, web.ip(false), Protocol::Tcp).is_err(),
            "{} reaches what may be closed",
            client.name
        );
    }
    let other = space.pod("other", nodes[1].name(), &[]);
    let other_echo = Echo::start(&other.netns, &other.ips).expect("an echo server");
    probe(&stranger.netns, other.ip(false), Protocol::Tcp).expect("a pod that is added meanwhile is reached");
    drop(other_echo);
    space.apply(good);
    for node in nodes.iter().take(2) {
        space.until("nothing is wrong any more", || {
            let all = issues(node)?;
            if all.iter().any(|words| words.contains(&named)) { bail!("{all:#?}") } else { Ok(()) }
        });
    }
    space.until("it is in force", holds);
    drop(echo);
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}
