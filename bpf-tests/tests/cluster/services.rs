//! Services without a proxy: by ClusterIP, by name, and what is refused.

use serde_json::json;

use crate::support::{Space, nodes, refused};

fn service(space: &Space, name: &str, port: u16) -> [String; 2] {
    space.apply(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": 8080}], "ipFamilyPolicy": "RequireDualStack"},
    }));
    let object = space.get("service", name).expect("a Service");
    let ip = |at: usize| object["spec"]["clusterIPs"][at].as_str().expect("dual stack").to_owned();
    [format!("{}:{port}", ip(0)), format!("[{}]:{port}", ip(1))]
}

#[test]
fn a_pod_reaches_a_service_by_its_addresses_and_by_name() {
    let space = Space::new("service");
    let nodes = nodes();
    space.pod("web", nodes[1].name(), &[("app", "web")]);
    let addresses = service(&space, "web", 80);
    for node in &nodes {
        let client = space.pod(&format!("client-{}", node.name()), node.name(), &[]);
        for to in addresses.iter().cloned().chain([format!("web.{}.svc.cluster.local:80", space.name), "web:80".into()])
        {
            space.until(&format!("{} reaches {to}", client.name), || space.connects(&client, &to));
        }
    }
}

#[test]
fn a_node_reaches_a_service() {
    let space = Space::new("service-node");
    let nodes = nodes();
    space.pod("web", nodes[1].name(), &[("app", "web")]);
    let agnhost = space.cluster.control.programs.join("agnhost");
    for to in service(&space, "web", 80) {
        for node in &nodes {
            let connect = format!("{} connect {to} --timeout=2s", agnhost.display());
            space.until(&format!("{} reaches {to}", node.name()), || node.machine.run(&connect).map(drop));
        }
    }
}

#[test]
fn what_leads_nowhere_is_refused_at_once() {
    let space = Space::new("service-refused");
    let client = space.pod("client", nodes()[0].name(), &[]);
    let started = |to: &str| {
        let start = std::time::Instant::now();
        refused(space.connects(&client, to), to);
        assert!(start.elapsed().as_millis() < 1900, "{to} took {:?}", start.elapsed());
    };
    let addresses = service(&space, "empty", 80);
    space.until("the node knows the Service", || {
        let words = nodes()[0].ferrule("service list")?;
        if words.contains(&format!("{}/empty", space.name)) { Ok(()) } else { anyhow::bail!("{words}") }
    });
    addresses.iter().for_each(|to| started(to));
    addresses.iter().for_each(|to| started(&to.replace(":80", ":81")));
}

#[test]
fn policies_see_the_backend() {
    let space = Space::new("service-policy");
    let nodes = nodes();
    space.pod("web", nodes[1].name(), &[("app", "web")]);
    let [to, _] = service(&space, "web", 80);
    let (friend, stranger) =
        (space.pod("friend", nodes[0].name(), &[("role", "friend")]), space.pod("stranger", nodes[0].name(), &[]));
    space.until("a stranger reaches it", || space.connects(&stranger, &to));
    space.apply(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "friends"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"role": "friend"}}}]}],
        },
    }));
    space.until("a stranger does not", || match space.connects(&stranger, &to) {
        Ok(()) => anyhow::bail!("it does"),
        Err(_) => Ok(()),
    });
    space.connects(&friend, &to).expect("a friend reaches it");
}
