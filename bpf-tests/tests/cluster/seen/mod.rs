//! What people see of a cluster: the connectivity test, a dump for a bug report, lists, metrics.

mod connectivity;
mod dump;
mod metrics;

use anyhow::bail;

use crate::support::{Space, ferrule, nodes};

#[test]
fn endpoints_have_namespaces_names_and_nodes_and_status_says_when_it_was_synced() {
    let space = Space::new("seen");
    let nodes = nodes();
    let (here, there) = (space.pod("here", nodes[0].name(), &[]), space.pod("there", nodes[1].name(), &[]));
    let own = ferrule(&nodes[0], "endpoint list");
    let own: Vec<_> =
        own.as_array().expect("a list").iter().filter(|one| one["namespace"] == space.name.as_str()).collect();
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!((&own[0]["name"], &own[0]["node"]), (&"here".into(), &nodes[0].name().into()));

    space.until("each node lists the pods of all", || {
        let all = ferrule(&nodes[0], "endpoint list --all-nodes");
        for (pod, node) in [(&here, &nodes[0]), (&there, &nodes[1])] {
            let ips: Vec<String> = pod.ips.iter().map(ToString::to_string).collect();
            let found = all.as_array().into_iter().flatten().any(|one| {
                one["namespace"] == space.name.as_str()
                    && one["name"] == pod.name.as_str()
                    && one["node"] == node.name()
                    && one["addresses"] == serde_json::json!(ips)
            });
            if !found {
                bail!("{}: {all}", pod.name);
            }
        }
        Ok(())
    });
    let table = nodes[0].ferrule("endpoint list").expect("a table");
    let header: Vec<&str> = table.lines().next().expect("a header").split_whitespace().collect();
    assert_eq!(header[..4], ["INDEX", "NAMESPACE", "POD", "NODE"], "{table}");

    let before = ferrule(&nodes[0], "status")["source"]["lastSync"].clone();
    assert!(before.as_str().is_some_and(|at| at.starts_with("20") && at.ends_with('Z')), "{before}");
    std::thread::sleep(std::time::Duration::from_secs(1));
    space.kubectl("label pod there seen=yes").expect("a label");
    space.until("a change counts as a sync", || {
        let after = ferrule(&nodes[0], "status")["source"]["lastSync"].clone();
        if after.as_str() > before.as_str() { Ok(()) } else { bail!("{after}, and before {before}") }
    });
    let shown = nodes[0].ferrule("status").expect("status");
    assert!(shown.contains("last sync 20"), "{shown}");
}
