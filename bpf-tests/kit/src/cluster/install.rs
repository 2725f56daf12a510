//! Ferrule and CoreDNS in a cluster.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail};

use super::{
    Cluster,
    images::COREDNS,
    process::wait,
    settings::{DNS, POD_CIDRS, api_url},
};

/// How long everything may take to be ready.
const READY: Duration = Duration::from_secs(120);

/// The chart and the manifest that is rendered from it.
#[must_use]
pub fn deployment() -> (PathBuf, PathBuf) {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    (deploy.join("helm/ferrule"), deploy.join("kubernetes/ferrule.yaml"))
}

/// The chart's values that this cluster needs, as Helm's arguments: what [`adapted`] does to the manifest.
#[must_use]
pub fn values() -> Vec<String> {
    let mut values = vec![format!("apiServer={}", api_url()), format!("clusterCIDRs={{{POD_CIDRS}}}")];
    values.extend(is_hybrid().then(|| "cgroupRoot=/sys/fs/cgroup/unified".into()));
    values.into_iter().flat_map(|value| ["--set".into(), value]).collect()
}

/// Whether control groups of version 1 are in use beside version 2.
fn is_hybrid() -> bool {
    Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists()
}

/// The manifest with this cluster's addresses.
#[must_use]
pub fn adapted(manifest: &str) -> String {
    let cidrs: Vec<String> = POD_CIDRS.split(',').map(|cidr| format!("{cidr:?}")).collect();
    let own = format!("api-server = {:?}\n    cluster-cidrs = [{}]\n    routing", api_url(), cidrs.join(", "));
    let manifest = if is_hybrid() {
        manifest.replace("path: /sys/fs/cgroup,", "path: /sys/fs/cgroup/unified,")
    } else {
        manifest.into()
    };
    manifest.replacen("routing", &own, 1)
}

/// Applies both.
///
/// # Errors
/// Where the API server refuses something.
pub fn apply(cluster: &Cluster, manifest: &str) -> Result<()> {
    let applied = cluster.apply(&adapted(manifest))?;
    if applied.contains("daemonset.apps/ferrule unchanged") {
        // The image may be another one under its name.
        cluster.kubectl(&["-n", "kube-system", "rollout", "restart", "daemonset/ferrule"])?;
    }
    cluster.apply(&coredns()).map(drop)
}

/// Waits until every node and every pod of Ferrule and CoreDNS is ready.
///
/// # Errors
/// What is not, when the time is up.
pub fn await_ready(cluster: &Cluster) -> Result<()> {
    wait("Ferrule is ready on all nodes", READY, || {
        let nodes = cluster.kubectl(&["get", "nodes", "--no-headers"])?;
        if nodes.lines().any(|line| line.contains("NotReady")) {
            bail!("{nodes}");
        }
        for workload in ["daemonset/ferrule", "deployment/coredns"] {
            cluster.kubectl(&["-n", "kube-system", "rollout", "status", workload, "--watch=false"]).and_then(
                |words| {
                    if words.contains("successfully rolled out") { Ok(()) } else { bail!("{workload}: {words}") }
                },
            )?;
        }
        Ok(())
    })
}

/// Its API server is the real address: that of the Service may lead nowhere yet.
fn coredns() -> String {
    format!(
        r#"apiVersion: v1
kind: ServiceAccount
metadata: {{name: coredns, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: coredns}}
rules:
- {{apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: coredns}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: coredns}}
subjects: [{{kind: ServiceAccount, name: coredns, namespace: kube-system}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: coredns, namespace: kube-system}}
data:
  Corefile: |
    .:53 {{
        errors
        health :8080
        ready :8181
        kubernetes cluster.local in-addr.arpa ip6.arpa {{
            pods insecure
        }}
        cache 5
    }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: coredns, namespace: kube-system}}
spec:
  replicas: 1
  selector: {{matchLabels: {{k8s-app: kube-dns}}}}
  template:
    metadata: {{labels: {{k8s-app: kube-dns}}}}
    spec:
      serviceAccountName: coredns
      containers:
      - name: coredns
        image: {COREDNS}
        args: [-conf, /etc/coredns/Corefile]
        env:
        - {{name: KUBERNETES_SERVICE_HOST, value: "{host}"}}
        - {{name: KUBERNETES_SERVICE_PORT, value: "6443"}}
        readinessProbe: {{httpGet: {{path: /ready, port: 8181}}, periodSeconds: 1}}
        volumeMounts: [{{name: config, mountPath: /etc/coredns}}]
      volumes: [{{name: config, configMap: {{name: coredns}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system}}
spec:
  clusterIP: {DNS}
  selector: {{k8s-app: kube-dns}}
  ports:
  - {{name: dns, port: 53, protocol: UDP}}
  - {{name: dns-tcp, port: 53, protocol: TCP}}
"#,
        host = super::settings::API_SERVER,
    )
}
