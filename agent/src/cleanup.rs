//! `ferrule-agent cleanup`: removes everything that the agent and the plugin ever made on this node.

use std::{fs, io, path::Path};

use anyhow::{Result, bail};

use crate::{
    attachment::is_ours,
    bpf::{Direction, Pins, devices},
    chain::chain,
    config::Config,
    install::{conflist, plugin},
    lease::StateLock,
    net::{self, Remover, link},
    reconcile::OVERLAY,
};

/// Removes pods' links, the overlay device, routes, attachments, pins, state and socket. Goes on past errors.
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
    let pods = links.iter().filter(|link| is_ours(&link.name));
    for result in futures::future::join_all(pods.map(|link| remover.remove(&link.name))).await {
        tried(result.map_err(|error| chain(&error)));
    }
    for name in links.iter().filter_map(|link| net::limits::host_ifname(&link.name)) {
        tried(net::limits::remove(&net, &name).await.map_err(|error| chain(&error)));
    }
    tried(net::route::remove_all(&net).await.map_err(|error| chain(&error)));
    tried(net::overlay::remove(&net, OVERLAY).await.map_err(|error| chain(&error)));
    for link in links.iter().filter(|link| !is_ours(&link.name) && link.name != OVERLAY) {
        for direction in Direction::ALL {
            let ours = devices::detach_filters(&link.name, link.ifindex, direction);
            tried(ours.map_err(|error| chain(&error)));
        }
    }
    tried(Pins::new(&config.bpffs).remove_all().map_err(|error| chain(&error)));
    tried(remove_folder(&ferrule_cni::api::release_notes(&config.socket)));
    for file in [config.socket.clone(), ferrule_cni::api::heartbeat(&config.socket)] {
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
