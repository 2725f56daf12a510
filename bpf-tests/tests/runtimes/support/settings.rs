//! The files that an administrator would write: for containerd, for CNI, for podman and for the agent.

use std::{fs, path::Path};

use serde_json::json;
use test_kit::cluster::settings::PAUSE;

use super::underlay::internal_ips;

/// How many machines a test has.
pub const MACHINES: u8 = 2;

/// Writes all of them below a machine's `etc`.
pub fn write(etc: &Path, cgroup: &Path) {
    for (path, text) in [
        ("containerd/config.toml", containerd()),
        ("containers/containers.conf", podman().into()),
        ("cni/net.d/05-ferrule.conflist", conflist()),
        ("ferrule/agent.toml", agent(cgroup)),
        ("ferrule/manifests/nodes.yaml", (1..=MACHINES).map(node).collect()),
    ] {
        let path = etc.join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a machine's folder can be made");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// The versions are chosen by the caller: containerd 1.6 takes the first that it knows, 2 the newest.
fn conflist() -> String {
    json!({
        "cniVersion": "1.0.0",
        "cniVersions": ["0.4.0", "1.0.0", "1.1.0"],
        "name": "ferrule",
        "plugins": [
            {"type": "ferrule-cni"},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

/// Without what needs a host of its own: AppArmor profiles, and scores below the test's own for the OOM killer.
fn containerd() -> String {
    format!(
        r#"version = 2
oom_score = 0
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    max_conf_num = 1
"#
    )
}

fn agent(cgroup: &Path) -> String {
    format!("cluster-cidrs = ['10.244.0.0/16', 'fd00:244::/32']\ncgroup-root = '{}'\n", cgroup.display())
}

fn podman() -> &'static str {
    r#"[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
default_network = "ferrule"
"#
}

fn node(number: u8) -> String {
    let [v4, v6] = internal_ips(number);
    format!(
        r#"---
apiVersion: v1
kind: Node
metadata: {{name: n{number}}}
spec: {{podCIDRs: [10.244.{number}.0/24, "fd00:244:{number}::/64"]}}
status: {{addresses: [{{type: InternalIP, address: {v4}}}, {{type: InternalIP, address: "{v6}"}}]}}
"#
    )
}
