//! Services without a proxy: by ClusterIP, by name, and what is refused.

use std::{io, net::UdpSocket, time::Duration};

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

/// Which pod answers.
fn asked(socket: &UdpSocket) -> io::Result<String> {
    let mut buffer = [0; 256];
    socket.send(b"hostname")?;
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[test]
fn a_connected_udp_socket_of_a_pod_is_ended_when_its_backend_leaves() {
    let space = Space::new("service-udp");
    let nodes = nodes();
    let (first, second) = (
        space.pod("first", nodes[1].name(), &[("app", "names")]),
        space.pod("second", nodes[0].name(), &[("app", "names")]),
    );
    space.apply(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "names"},
        "spec": {"selector": {"app": "names"}, "ports": [{"port": 53, "protocol": "UDP", "targetPort": 8081}]},
    }));
    let address = space.get("service", "names").expect("a Service")["spec"]["clusterIP"].clone();
    let to = format!("{}:53", address.as_str().expect("it has an address"));
    let client = space.pod("client", nodes[0].name(), &[]);
    let open = || {
        let connect = || {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            socket.connect(&to)?;
            Ok::<_, io::Error>(socket)
        };
        nodes[0].machine.cgroup().within(|| client.netns.enter(connect))
    };
    let mut held = None;
    space.until("one of them answers", || {
        let socket = open()???;
        let name = asked(&socket)?;
        held = Some((socket, name));
        Ok(())
    });
    let (held, name) = held.expect("it answers");
    let (left, stays) = if name == first.name { (&first, &second) } else { (&second, &first) };
    space.kubectl(&format!("label pod {} app-", left.name)).expect("it is no backend any more");
    // It runs, and would go on answering.
    space.until("the socket is ended", || match asked(&held) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Ok(()),
        other => anyhow::bail!("{other:?}"),
    });
    assert_eq!(
        asked(&open().expect("its cgroup").expect("its network").expect("a socket")).expect("an answer"),
        stays.name
    );
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
