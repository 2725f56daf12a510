//! Addresses and the configuration files of a cluster's components.

use std::path::Path;

/// The API server, on the network between nodes; the namespace of the control plane is also a host outside the cluster.
pub const API_SERVER: &str = "172.30.0.1";
/// The same host's IPv6 address.
pub const OUTSIDE_V6: &str = "fd00:30::1";
/// Where Services get their addresses from.
pub const SERVICE_CIDRS: &str = "10.96.0.0/16,fd00:96::/112";
/// Where pods get theirs from.
pub const POD_CIDRS: &str = "10.244.0.0/16,fd00:244::/48";
/// The cluster's name server.
pub const DNS: &str = "10.96.0.10";
/// The pause image, which every node has.
pub const PAUSE: &str = "localhost/pause:1";

/// The API server's URL.
#[must_use]
pub fn api_url() -> String {
    format!("https://{API_SERVER}:6443")
}

/// A node's InternalIPs, by its number from 1.
#[must_use]
pub fn internal_ips(number: u8) -> [String; 2] {
    [format!("172.30.0.{}", 10 + number), format!("fd00:30::{}", 10 + number)]
}

/// containerd's. Without what needs a host of its own: AppArmor profiles, and scores below this process's for the OOM
/// killer.
#[must_use]
pub fn containerd(node: &Path) -> String {
    let root = node.join("containerd");
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
    max_conf_num = 1
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
[plugins."io.containerd.internal.v1.opt"]
  path = "{}"
"#,
        node.join("containerd-opt").display(),
        root = root.display(),
    )
}

/// The kubelet's, below a control group: without resizing of pods, which 1.34 may panic in where a pod goes while it starts, and
/// without hierarchies of control groups, disk limits and firewall rules of its own.
#[must_use]
pub fn kubelet(group: &str, authority: &Path) -> String {
    format!(
        r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: false}}, x509: {{clientCAFile: {ca}}}}}
authorization: {{mode: AlwaysAllow}}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /{group}
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
protectKernelDefaults: true
makeIPTablesUtilChains: false
oomScoreAdj: 0
localStorageCapacityIsolation: false
volumePluginDir: /opt/volume-plugins
staticPodPath: /etc/kubernetes/manifests
syncFrequency: 2s
nodeStatusUpdateFrequency: 5s
imageGCHighThresholdPercent: 100
evictionHard: {{}}
featureGates: {{InPlacePodVerticalScaling: false}}
registerWithTaints: [{{key: ferrule.dev/agent-not-ready, effect: NoSchedule}}]
clusterDNS: ["{DNS}"]
clusterDomain: cluster.local
resolvConf: ""
"#,
        ca = authority.display(),
    )
}

/// A client's, with a certificate.
#[must_use]
pub fn kubeconfig(pki: &Path, user: &str) -> String {
    let file = |name: &str| pki.join(name).display().to_string();
    format!(
        r#"apiVersion: v1
kind: Config
clusters: [{{name: ferrule, cluster: {{server: "{}", certificate-authority: {}}}}}]
users: [{{name: {user}, user: {{client-certificate: {}, client-key: {}}}}}]
contexts: [{{name: ferrule, context: {{cluster: ferrule, user: {user}}}}}]
current-context: ferrule
"#,
        api_url(),
        file("ca.crt"),
        file(&format!("{user}.crt")),
        file(&format!("{user}.key")),
    )
}
