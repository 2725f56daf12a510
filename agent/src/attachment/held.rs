//! Addresses that somebody without a lease has: pods of a former network plugin, pods whose lease was lost.

use std::{collections::HashSet, fs, net::IpAddr, path::Path};

use ferrule_api::plugin::PodRef;
use ferrule_kernel::net::survey::Survey;
use ferrule_model::objects::Objects;

use super::Attachments;

impl Attachments {
    /// Remembers the addresses that the host knows somebody at who has no lease.
    pub(super) fn note_inhabited(&self, survey: &Survey) {
        let leases = self.leases();
        let leased: HashSet<u32> =
            leases.iter().filter_map(|lease| survey.links.get(&lease.host_ifname)).map(|link| link.ifindex).collect();
        let others = survey.inhabited.iter().filter(|(_, ifindex)| !leased.contains(ifindex));
        let mut inhabited: HashSet<IpAddr> = others.map(|(address, _)| *address).collect();
        inhabited.extend(host_local(&self.host_local));
        *self.inhabited.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = inhabited;
    }

    /// Whether somebody without a lease has an address: a map entry, the host or a Pod object of this node says so.
    /// The Pod object of the pod that asks says nothing.
    pub(super) fn is_held(&self, address: IpAddr, asks: Option<&PodRef>) -> bool {
        let own = |holder: &(String, String)| asks.is_some_and(|pod| pod.namespace == holder.0 && pod.name == holder.1);
        let state = self.state.borrow();
        self.maps().endpoint(address).is_some()
            || state.claimed.get(&address).is_some_and(|holder| !own(holder))
            || self.inhabited.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(&address)
    }

    /// Whether the maps still know an endpoint by an index that no lease has.
    pub(super) fn is_index_held(&self, index: u32) -> bool {
        self.maps().source(index).is_some_and(|source| source.ifindex != 0)
    }

    /// Whether a link without a lease was a pod's, whose lease was lost with the state directory: a release removes the
    /// map entries before the link.
    pub(super) fn is_orphan(&self, ifindex: u32) -> bool {
        self.maps().link(ifindex).is_some()
    }
}

/// The addresses of this node's pods by its Pod objects, with namespace and name.
#[must_use]
pub fn claimed(objects: &Objects, node: &str) -> std::collections::HashMap<IpAddr, (String, String)> {
    let own = objects.pods.values().filter(|pod| pod.node.as_deref() == Some(node) && pod.is_networked());
    own.flat_map(|pod| {
        let name = (pod.name.namespace.to_string(), pod.name.name.to_string());
        pod.ips.iter().map(move |ip| (*ip, name.clone()))
    })
    .collect()
}

/// The addresses that host-local leases: it keeps a file for each, in a folder for each network.
fn host_local(folder: &Path) -> Vec<IpAddr> {
    let networks = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = networks.flat_map(|network| fs::read_dir(network.path()).into_iter().flatten().flatten());
    files.filter_map(|file| file.file_name().to_str()?.parse().ok()).collect()
}

/// What the reports call an orphan.
pub(super) fn orphan(link: &str, addresses: &[IpAddr]) -> String {
    let addresses = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!(
        "the link {link} ({addresses}) has no lease: the state directory was lost or replaced; its pod goes on with the \
         network that it has; delete the pod, so that it is made anew"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_local_files_are_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let network = folder.path().join("bridge");
        fs::create_dir(&network).unwrap();
        for name in ["10.1.0.2", "fd00::2", "last_reserved_ip.0", "lock"] {
            fs::write(network.join(name), "c1\neth0").unwrap();
        }
        let mut found = host_local(folder.path());
        found.sort();
        assert_eq!(found, ["10.1.0.2", "fd00::2"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        assert!(host_local(Path::new("/nonexistent")).is_empty());
    }
}
