//! Pods as kubelets run them: probes, and what kubectl does with them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Stdio,
    time::Duration,
};

use serde_json::json;

use crate::support::{Space, moment, nodes};

#[test]
fn pods_become_ready_by_every_kind_of_probe_on_every_node() {
    let space = Space::new("probes");
    let kinds = [
        ("http", json!({"httpGet": {"port": 8080, "path": "/"}})),
        ("tcp", json!({"tcpSocket": {"port": 8080}})),
        ("exec", json!({"exec": {"command": ["/agnhost", "connect", "127.0.0.1:8080", "--timeout=1s"]}})),
    ];
    let mut names = Vec::new();
    for node in nodes() {
        for (kind, probe) in &kinds {
            let mut probe = probe.clone();
            probe["periodSeconds"] = json!(1);
            let name = format!("{kind}-{}", node.name());
            let more = json!({"spec": {"containers": [{"readinessProbe": probe}]}});
            space.create(&name, node.name(), &[], &["netexec", "--http-port=8080"], more);
            names.push(name);
        }
        let name = format!("grpc-{}", node.name());
        let probe = json!({"grpc": {"port": 5000}, "periodSeconds": 1});
        let more = json!({"spec": {"containers": [{"readinessProbe": probe}]}});
        space.create(&name, node.name(), &[], &["grpc-health-checking", "--port=5000"], more);
        names.push(name);
    }
    names.iter().for_each(|name| drop(space.running(name)));
}

#[test]
fn kubectl_executes_follows_logs_and_forwards_ports() {
    let space = Space::new("kubectl");
    let node = &nodes()[1];
    let pod = space.pod("web", node.name(), &[]);
    space.exec(&pod, "/agnhost connect 127.0.0.1:8080 --timeout=1s").expect("a program that succeeds");
    assert!(space.exec(&pod, "/agnhost connect 127.0.0.1:9 --timeout=1s").is_err(), "a program that fails");

    let mut logs = space.cluster.kubectl_command();
    logs.args(["-n", &space.name, "logs", "-f", "web"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut logs = logs.spawn().expect("kubectl");
    let mut lines = BufReader::new(logs.stdout.take().expect("a pipe")).lines();
    space.connects(&pod, "127.0.0.1:8080").expect("a line for the log");
    space.until("a line of the log that is followed", || {
        let line = lines.next().and_then(Result::ok).unwrap_or_default();
        if line.contains("8080") || line.contains("Started") { Ok(()) } else { anyhow::bail!("{line}") }
    });
    let _ = (logs.kill(), logs.wait());

    let mut forward = space.cluster.kubectl_command();
    forward.args(["-n", &space.name, "port-forward", "pod/web", "18080:8080"]);
    let mut forward = forward.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("kubectl");
    let control = test_kit::topology::Netns::known(&space.cluster.control.fabric.control());
    space.until("an answer by the forwarded port", || {
        let answer = control.enter(|| -> std::io::Result<String> {
            let mut stream =
                TcpStream::connect_timeout(&"127.0.0.1:18080".parse().expect("one"), Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(b"GET /hostname HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        })??;
        if answer.ends_with("web") { Ok(()) } else { anyhow::bail!("{answer}") }
    });
    let _ = (forward.kill(), forward.wait());
    moment();
}

/// Without that, agents cannot tell whether a pod without a link is gone or is being added, nor end sockets in it.
#[test]
fn agents_see_their_pods_network_namespaces() {
    let space = Space::new("namespaces");
    for node in nodes().iter().take(2) {
        space.pod(&format!("on-{}", node.name()), node.name(), &[]);
        let found = node.ferrule("doctor").expect("nothing is wrong");
        assert!(found.contains("pods have what they need"), "{found}");
    }
}
