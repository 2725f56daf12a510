//! Kubernetes objects as YAML files, which every agent of a cluster reads.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The folder that agents watch.
#[derive(Debug)]
pub struct Manifests {
    folder: PathBuf,
}

impl Manifests {
    /// Makes the folder.
    ///
    /// # Errors
    /// The file system's.
    pub fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file, at once as a whole.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let (path, temporary) = (self.folder.join(format!("{name}.yaml")), self.folder.join(format!(".{name}.new")));
        fs::write(&temporary, text)
            .and_then(|()| fs::rename(&temporary, &path))
            .with_context(|| path.display().to_string())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.folder.join(format!("{name}.yaml"));
        fs::remove_file(&path).with_context(|| path.display().to_string())
    }
}

/// A Node object.
#[must_use]
pub fn node(name: &str, pod_cidrs: &[String], addresses: &[IpAddr]) -> String {
    let cidrs: Vec<_> = pod_cidrs.iter().map(|cidr| format!("\"{cidr}\"")).collect();
    let address = |address| format!("{{type: InternalIP, address: \"{address}\"}}");
    let addresses: Vec<_> = addresses.iter().map(address).collect();
    format!(
        "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nspec: {{podCIDRs: [{}]}}\nstatus: {{addresses: [{}]}}\n",
        cidrs.join(", "),
        addresses.join(", ")
    )
}

/// A Service with addresses and ports (name, port, protocol); `spec` is more of its spec: `, sessionAffinity: ClientIP`.
#[must_use]
pub fn service(name: &str, addresses: &[IpAddr], ports: &[(&str, u16, &str)], spec: &str) -> String {
    let addresses: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    let ports: Vec<_> = ports
        .iter()
        .map(|(name, port, protocol)| format!("{{name: {name}, port: {port}, protocol: {protocol}}}"))
        .collect();
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
         spec: {{clusterIPs: [{}], ports: [{}]{spec}}}\n",
        addresses.join(", "),
        ports.join(", ")
    )
}

/// The EndpointSlices of a Service, one for each family: endpoints are an address with more of the endpoint
/// (`, nodeName: n1`), ports as in [`service`].
#[must_use]
pub fn slices(service: &str, ports: &[(&str, u16, &str)], endpoints: &[(IpAddr, &str)]) -> String {
    let ports: Vec<_> = ports
        .iter()
        .map(|(name, port, protocol)| format!("{{name: {name}, port: {port}, protocol: {protocol}}}"))
        .collect();
    let slice = |(family, v4): (&str, bool)| {
        let endpoints = endpoints.iter().filter(|(address, _)| address.is_ipv4() == v4);
        let endpoints: Vec<_> =
            endpoints.map(|(address, more)| format!("{{addresses: [\"{address}\"]{more}}}")).collect();
        let name = format!("{service}-{}", family.to_lowercase());
        format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: {name}, namespace: default, labels: {{kubernetes.io/service-name: {service}}}}}\n\
             addressType: {family}\nendpoints: [{}]\nports: [{}]\n",
            endpoints.join(", "),
            ports.join(", ")
        )
    };
    [("IPv4", true), ("IPv6", false)].map(slice).concat()
}

/// A running Pod object.
#[must_use]
pub fn pod(name: &str, node: &str, addresses: &[IpAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(|address| format!("{{ip: \"{address}\"}}")).collect();
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default}}\nspec: {{nodeName: {node}}}\n\
         status: {{phase: Running, podIPs: [{}]}}\n",
        addresses.join(", ")
    )
}
