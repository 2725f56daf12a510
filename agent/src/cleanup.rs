//! `ferrule-agent cleanup`: removes what the agent and the plugin made on this node. The plugin's log stays, and sysctls stay as
//! they are: what they were before is not known.

use std::{fs, io, path::Path};

use anyhow::{Result, bail};
use ferrule_api::chain::chain;
use ferrule_kernel::{
    bpf::{Direction, Pins, devices},
    net,
    net::{Remover, link, own},
};

use crate::{
    config::Config,
    install::{conflist, plugin},
    lease::StateLock,
    reconcile::OVERLAY,
};

/// Removes the CNI configuration and the plugin, then pods' links, the overlay device, routes, attachments, pins, state and
/// socket. Goes on past errors.
///
/// # Errors
/// While an agent runs, and where something could not be removed: every failure, a line each.
pub async fn cleanup(config: &Config) -> Result<()> {
    if !nix::unistd::Uid::effective().is_root() {
        bail!("ferrule-agent cleanup needs root");
    }
    // Held to the end, so that no agent starts meanwhile.
    let lock = StateLock::acquire(&config.state_dir)?;
    let net = net::connect()?;
    let mut failures = Vec::new();
    let mut tried = |result: Result<(), String>| failures.extend(result.err());

    // First, so that the runtime asks nobody for pods any more; then the plugin.
    let folder = config.cni_conf_dir.as_deref().unwrap_or(Path::new(conflist::USUAL));
    tried(conflist::remove(folder).map_err(|error| chain(&error)));
    tried(remove_file(&config.cni_bin_dir.join(plugin::NAME)));
    let remover = Remover::start(net.clone());
    let links = link::all(&net).await?;
    let pods = links.iter().filter(|link| own::is_pod_link(&link.name));
    for result in futures::future::join_all(pods.map(|link| remover.remove(&link.name))).await {
        tried(result.map_err(|error| chain(&error)));
    }
    for name in links.iter().filter_map(|link| net::own::ifb_owner(&link.name)) {
        tried(net::limits::remove(&net, &name).await.map_err(|error| chain(&error)));
    }
    tried(net::route::remove_all(&net).await.map_err(|error| chain(&error)));
    tried(net::overlay::remove(&net, OVERLAY).await.map_err(|error| chain(&error)));
    for link in links.iter().filter(|link| !own::is_pod_link(&link.name) && link.name != OVERLAY) {
        for direction in Direction::ALL {
            let ours = devices::detach_filters(&link.name, link.ifindex, direction);
            tried(ours.map_err(|error| chain(&error)));
        }
    }
    tried(Pins::new(&config.bpffs).remove_all().map_err(|error| chain(&error)));
    tried(remove_folder(&ferrule_api::plugin::release_notes(&config.socket)));
    for file in [config.socket.clone(), ferrule_api::plugin::heartbeat(&config.socket)] {
        tried(remove_file(&file));
    }
    tried(remove_file(&config.state_dir.join("leases.redb")));
    tried(remove_file(&config.state_dir.join("agent.lock")));
    drop(lock);
    // Others' files in the folder stay, and it with them.
    if let Err(error) = fs::remove_dir(&config.state_dir)
        && !matches!(
            error.kind(),
            // In a container it is a mount, which goes with the container, in a file system that cannot be written.
            io::ErrorKind::NotFound
                | io::ErrorKind::DirectoryNotEmpty
                | io::ErrorKind::ResourceBusy
                | io::ErrorKind::ReadOnlyFilesystem
        )
    {
        tried(Err(format!("{}: {error}", config.state_dir.display())));
    }
    if failures.is_empty() { Ok(()) } else { bail!("not everything could be removed:\n{}", failures.join("\n")) }
}

fn remove_file(path: &Path) -> Result<(), String> {
    gone(path, fs::remove_file(path))
}

fn remove_folder(path: &Path) -> Result<(), String> {
    gone(path, fs::remove_dir_all(path))
}

fn gone(path: &Path, result: io::Result<()>) -> Result<(), String> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", path.display())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};
    use serde_json::Value;

    use crate::config::Options;

    const POD: &str = include_str!("../../deploy/kubernetes/cleanup.yaml");
    const MANIFEST: &str = include_str!("../../deploy/kubernetes/ferrule.yaml");

    fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
        value[key].as_array().unwrap_or_else(|| panic!("{key}: {value}"))
    }

    /// The pod and its container, and the agents' pods and theirs.
    fn pods() -> [(Value, Value); 2] {
        let pod: Value = serde_saphyr::from_str(POD).unwrap();
        let set = MANIFEST.split("\n---\n").find(|text| text.contains("kind: DaemonSet")).unwrap();
        let set: Value = serde_saphyr::from_str(set).unwrap();
        [&pod["spec"], &set["spec"]["template"]["spec"]].map(|spec| (spec.clone(), list(spec, "containers")[0].clone()))
    }

    #[test]
    fn the_pod_of_the_manual_sees_and_may_what_the_agent_does() {
        let [(pod, cleanup), (agents, agent)] = pods();
        for key in ["image", "imagePullPolicy", "securityContext"] {
            assert_eq!(cleanup[key], agent[key], "{key}");
        }
        assert_eq!((&pod["hostNetwork"], &pod["tolerations"]), (&agents["hostNetwork"], &agents["tolerations"]));
        assert_eq!(pod["securityContext"], agents["securityContext"]);
        for volume in list(&pod, "volumes") {
            assert!(list(&agents, "volumes").contains(volume), "{volume}");
        }
        for mount in list(&cleanup, "volumeMounts") {
            assert!(mount.get("readOnly").is_none(), "{mount}");
            let same =
                |other: &&Value| ["name", "mountPath", "mountPropagation"].iter().all(|key| other[key] == mount[key]);
            assert!(list(&agent, "volumeMounts").iter().any(|other| same(&other)), "{mount}");
        }
    }

    #[test]
    fn the_pod_of_the_manual_has_every_folder_that_something_is_removed_from() {
        let [(_, cleanup), _] = pods();
        let words: Vec<&str> = list(&cleanup, "command").iter().filter_map(Value::as_str).collect();
        assert_eq!(words[..2], ["/usr/bin/ferrule-agent", "cleanup"]);
        let flags = Options::augment_args(Command::new("cleanup")).try_get_matches_from(&words[1..]).unwrap();
        let config = Options::from_arg_matches(&flags).unwrap().check().unwrap();
        let mounts = list(&cleanup, "volumeMounts").iter().filter_map(|mount| mount["mountPath"].as_str());
        let mounts: Vec<&str> = mounts.collect();
        let folders = [
            config.cni_conf_dir.expect("it is given"),
            config.cni_bin_dir,
            config.socket,
            config.state_dir,
            config.bpffs,
        ];
        for folder in folders {
            assert!(mounts.iter().any(|mount| folder.starts_with(mount)), "{}", folder.display());
        }
    }
}
