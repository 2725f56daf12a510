//! An API server and its etcd, without controllers: what it holds is what it was told.

use std::{net::IpAddr, path::PathBuf};

use anyhow::Result;
use test_kit::{
    cluster::{Cluster, Component, settings},
    topology::Netns,
};

use crate::lab::api::Api;

/// They end, with all that they hold, when this is dropped.
pub struct Server {
    cluster: Cluster,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts both.
    ///
    /// # Errors
    /// Where one does not start, or nobody said where Kubernetes' programs are.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let programs = test_kit::cluster::programs()?;
        let server = Self { cluster: Cluster::at(folder.path().join("cluster"), programs), _folder: folder };
        server.cluster.certify()?;
        let control = &server.cluster.control;
        control.connect()?;
        for component in [Component::Etcd, Component::ApiServer] {
            control.start(component)?;
        }
        control.await_ready()?;
        Ok(server)
    }

    /// Requests of the administrator.
    pub fn api(&self) -> Api {
        let control = &self.cluster.control;
        Api { netns: Netns::known(&control.fabric.control()), kubeconfig: control.kubeconfig("admin") }
    }

    /// The kubeconfig of a user.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.cluster.control.kubeconfig(user)
    }

    /// Plugs a node's namespace in; its InternalIPs.
    ///
    /// # Errors
    /// Where a command fails.
    pub fn join(&self, name: &str, netns: &Netns) -> Result<Vec<IpAddr>> {
        let [v4, v6] = settings::internal_ips(1);
        self.cluster.control.fabric.join(name, &netns.path(), [&v4, &v6])?;
        netns.ip(&format!("route add default via {}", settings::API_SERVER))?;
        netns.ip(&format!("-6 route add default via {}", settings::OUTSIDE_V6))?;
        Ok(vec![v4.parse()?, v6.parse()?])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.cluster.control.remove() {
            eprintln!("the API server cannot be removed: {error:#}");
        }
    }
}
