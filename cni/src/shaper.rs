//! Whether the network's configuration list chains the CNI project's plugin `bandwidth`. A plugin is told its own part of
//! the list only, so that the file is looked for where runtimes have it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ferrule_api::plugin::Shaper;
use serde_json::Value;

/// The plugin's `type`.
const BANDWIDTH: &str = "bandwidth";

/// Looks into the first list of that name, as runtimes do: in the order of the files' names.
#[must_use]
pub fn find(folder: &Path, network: &str) -> Shaper {
    let Ok(entries) = fs::read_dir(folder) else { return Shaper::Unknown };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "conflist"));
    let named = |file: &PathBuf| {
        let list: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        (list["name"] == network).then_some(list)
    };
    match files.into_iter().find_map(|file| named(&file).map(|list| (file, list))) {
        None => Shaper::Unknown,
        Some((file, list)) if is_chained(&list) => Shaper::Chained(file),
        Some(_) => Shaper::Nobody,
    }
}

fn is_chained(list: &Value) -> bool {
    list["plugins"].as_array().is_some_and(|plugins| plugins.iter().any(|plugin| plugin["type"] == BANDWIDTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files as `NAME: CONTENT`.
    fn check(files: &[(&str, &str)], expected: impl Fn(&Path) -> Shaper) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        assert_eq!(find(folder.path(), "pods"), expected(folder.path()), "{files:?}");
    }

    const WITH: &str = r#"{"name": "pods", "plugins": [{"type": "ferrule-cni"}, {"type": "bandwidth"}]}"#;
    const WITHOUT: &str = r#"{"name": "pods", "plugins": [{"type": "ferrule-cni"}]}"#;
    const OTHER: &str = r#"{"name": "other", "plugins": [{"type": "bandwidth"}]}"#;

    #[test]
    fn the_first_list_of_the_networks_name_counts() {
        check(&[("05.conflist", WITH)], |folder| Shaper::Chained(folder.join("05.conflist")));
        check(&[("05.conflist", WITHOUT)], |_| Shaper::Nobody);
        check(&[("05.conflist", WITHOUT), ("06.conflist", WITH)], |_| Shaper::Nobody);
        check(&[("04.conflist", OTHER), ("05.conflist", WITH)], |folder| Shaper::Chained(folder.join("05.conflist")));
    }

    #[test]
    fn what_is_no_list_of_that_name_tells_nothing() {
        check(&[], |_| Shaper::Unknown);
        check(&[("05.conflist", OTHER)], |_| Shaper::Unknown);
        check(&[("05.conflist", "{"), ("06.conflist.bak", WITH), ("07.conf", WITH)], |_| Shaper::Unknown);
        assert_eq!(find(Path::new("/nowhere"), "pods"), Shaper::Unknown);
    }

    #[test]
    fn a_list_without_plugins_chains_nobody() {
        check(&[("05.conflist", r#"{"name": "pods"}"#)], |_| Shaper::Nobody);
        check(&[("05.conflist", r#"{"name": "pods", "plugins": 7}"#)], |_| Shaper::Nobody);
    }
}
