//! The CNI configuration: written when pods can be added, and again when somebody has damaged it. Ending the agent leaves it:
//! the plugin waits for the next one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ferrule_api::chain::chain;
use serde_json::json;
use tokio::sync::watch;

use super::{InstallError, file, plugin};
use crate::{config::Config, state::NodeState};

/// Its name: runtimes take the first of the folder.
pub const NAME: &str = "05-ferrule.conflist";
/// The folder that runtimes read where nothing else is configured.
pub const USUAL: &str = "/etc/cni/net.d";
/// How often it is looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// Keeps the configuration in `folder` as it should be, from the moment when the node is ready.
pub async fn keep(config: Arc<Config>, folder: PathBuf, mut state: watch::Receiver<Arc<NodeState>>) {
    if state.wait_for(|state| state.ready).await.is_err() {
        return;
    }
    let mut last = None;
    loop {
        let problem = match ensure(&config, &folder) {
            Ok(false) => None,
            Ok(true) => {
                tracing::info!(file = %folder.join(NAME).display(), "the CNI configuration is written");
                None
            }
            Err(error) => Some(chain(&error)),
        };
        let problem = problem.or_else(|| before(&folder));
        if problem != last {
            if let Some(problem) = &problem {
                tracing::error!(problem, "the CNI configuration");
            }
            last = problem;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Writes it where it is another one or none; whether it did.
///
/// # Errors
/// The file system's.
fn ensure(config: &Config, folder: &Path) -> Result<bool, InstallError> {
    let path = folder.join(NAME);
    let wanted = text(config, config.cni_bin_dir.join("portmap").exists());
    if fs::read(&path).is_ok_and(|found| found == wanted.as_bytes()) {
        return Ok(false);
    }
    fs::create_dir_all(folder).map_err(|source| InstallError { path: folder.into(), source })?;
    file::replace(&path, wanted.as_bytes(), 0o644).map_err(|source| InstallError { path, source })?;
    Ok(true)
}

/// A configuration that the runtime takes instead of ours.
fn before(folder: &Path) -> Option<String> {
    let names = fs::read_dir(folder).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let endings = [".conflist", ".conf", ".json"];
    let first = names.filter(|name| endings.iter().any(|ending| name.ends_with(ending))).min()?;
    (first != NAME).then(|| {
        format!(
            "{}: the runtime takes it before {NAME}, so that new pods are not Ferrule's; remove it",
            folder.join(first).display()
        )
    })
}

/// Removes it; one that is not there is fine.
///
/// # Errors
/// The file system's.
pub fn remove(folder: &Path) -> Result<(), InstallError> {
    let path = folder.join(NAME);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(InstallError { path, source }),
        _ => Ok(()),
    }
}

/// The version is chosen by the caller: containerd 1.6 takes `cniVersion`, newer ones the newest of `cniVersions`.
fn text(config: &Config, portmap: bool) -> String {
    let mut own = json!({"type": plugin::NAME, "capabilities": {"bandwidth": true}});
    if config.socket != Path::new(ferrule_api::plugin::DEFAULT_SOCKET) {
        own["agentSocket"] = json!(config.socket);
    }
    let mut plugins = vec![own];
    plugins.extend(portmap.then(|| json!({"type": "portmap", "capabilities": {"portMappings": true}})));
    let list = json!({
        "cniVersion": "1.0.0",
        "cniVersions": ["0.4.0", "1.0.0", "1.1.0"],
        "name": "ferrule",
        "plugins": plugins,
    });
    format!("{list:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;

    fn config(bin: &Path) -> Config {
        let options = Options { node_name: Some("n1".into()), cni_bin_dir: Some(bin.into()), ..Options::default() };
        options.check().unwrap()
    }

    #[test]
    fn it_is_written_once_and_again_when_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let (bin, conf) = (folder.path().join("bin"), folder.path().join("net.d"));
        let config = config(&bin);
        assert!(ensure(&config, &conf).unwrap() && !ensure(&config, &conf).unwrap());
        fs::write(conf.join(NAME), "{").unwrap();
        assert!(ensure(&config, &conf).unwrap());
        let list: serde_json::Value = serde_json::from_slice(&fs::read(conf.join(NAME)).unwrap()).unwrap();
        assert_eq!(list["plugins"].as_array().unwrap().len(), 1);
        remove(&conf).unwrap();
        assert!(!conf.join(NAME).exists() && remove(&conf).is_ok());
    }

    #[test]
    fn portmap_is_chained_where_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("portmap"), "").unwrap();
        assert!(ensure(&config(folder.path()), folder.path()).unwrap());
        assert!(fs::read_to_string(folder.path().join(NAME)).unwrap().contains("portMappings"));
    }

    #[test]
    fn a_configuration_that_comes_before_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, told) in [(NAME, false), ("10-flannel.conflist", false), ("README", false), ("00-other.conf", true)]
        {
            fs::write(folder.path().join(name), "").unwrap();
            assert_eq!(before(folder.path()).is_some(), told, "{name}");
        }
    }
}
