//! A pod that a kubelet starts from a file, without the API server.

use std::{fs, path::PathBuf};

use serde_json::json;
use test_kit::cluster::Node;

use super::{Pod, Space};

/// One that is there until its file goes, with this.
pub struct StaticPod {
    file: PathBuf,
    name: String,
}

impl StaticPod {
    /// Writes the file of one that serves HTTP at 8080, with a label `app` of its name.
    #[track_caller]
    pub fn start(space: &Space, node: &Node, name: &str) -> Self {
        let folder = node.machine.root().expect("a running node").join("etc/kubernetes/manifests");
        fs::create_dir_all(&folder).expect("the kubelet's folder");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": space.name, "labels": {"app": name}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": "localhost/agnhost:1", "args": ["netexec", "--http-port=8080"]}],
            },
        });
        let file = folder.join(format!("{name}.json"));
        fs::write(&file, pod.to_string()).expect("a manifest");
        Self { file, name: format!("{name}-{}", node.name()) }
    }

    /// Waits until it runs and is ready.
    #[track_caller]
    pub fn running(&self, space: &Space) -> Pod {
        space.running(&self.name)
    }
}

impl Drop for StaticPod {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}
