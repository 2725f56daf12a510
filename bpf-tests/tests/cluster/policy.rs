//! Policies through the API server, live.

use anyhow::bail;
use serde_json::{Value, json};

use crate::support::{Pod, Space, nodes};

fn policy(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec})
}

#[track_caller]
fn soon(space: &Space, from: &Pod, to: &Pod, passes: bool) {
    for v6 in [false, true] {
        let address = std::net::SocketAddr::new(to.ip(v6), 8080).to_string();
        space.until(&format!("{} to {} {address}: {passes}", from.name, to.name), || {
            if space.connects(from, &address).is_ok() == passes { Ok(()) } else { bail!("it is not so") }
        });
    }
}

#[test]
fn changes_of_policies_pods_and_namespaces_take_effect() {
    let space = Space::new("policy");
    let nodes = nodes();
    let web = space.pod("web", nodes[1].name(), &[("app", "web")]);
    let near = space.pod("near", nodes[1].name(), &[("role", "client")]);
    let far = space.pod("far", nodes[0].name(), &[("role", "client")]);
    let all = |passes| [&near, &far].iter().for_each(|from| soon(&space, from, &web, passes));
    all(true);
    space.apply(policy("deny", json!({"podSelector": {"matchLabels": {"app": "web"}}})));
    all(false);
    let from = |peer| json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [peer]}]});
    space.apply(policy("allow", from(json!({"podSelector": {"matchLabels": {"role": "client"}}}))));
    all(true);
    space.kubectl("label pod far role=stranger --overwrite").expect("a label");
    soon(&space, &far, &web, false);
    soon(&space, &near, &web, true);
    space.kubectl("label pod far role=client --overwrite").expect("a label");
    soon(&space, &far, &web, true);
    space.apply(policy("allow", from(json!({"namespaceSelector": {"matchLabels": {"trusted": "yes"}}}))));
    all(false);
    let label = |text: &str| space.cluster.kubectl(&["label", "namespace", &space.name, text, "--overwrite"]);
    label("trusted=yes").expect("a label");
    all(true);
    label("trusted-").expect("a label");
    all(false);
    space.kubectl("delete networkpolicy deny allow").expect("a removal");
    all(true);
}

#[test]
fn a_pod_that_a_policy_isolates_never_hears_what_it_should_not_when_it_starts() {
    let space = Space::new("policy-start");
    let nodes = nodes();
    let friends = json!([{"from": [{"podSelector": {"matchLabels": {"role": "friend"}}}]}]);
    space.apply(policy("friends", json!({"podSelector": {"matchLabels": {"app": "vault"}}, "ingress": friends})));
    let (client, friend) =
        (space.pod("client", nodes[0].name(), &[]), space.pod("friend", nodes[0].name(), &[("role", "friend")]));
    for round in 0..3 {
        let name = format!("vault-{round}");
        let vault = space.pod(&name, nodes[1].name(), &[("app", "vault")]);
        let address = std::net::SocketAddr::new(vault.ip(false), 8080).to_string();
        assert!(space.connects(&client, &address).is_err(), "{name} was open");
        space.connects(&friend, &address).expect("whom the policy lets in reaches it at once");
    }
}
