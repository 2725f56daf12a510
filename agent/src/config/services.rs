//! Settings of Services.

use std::path::PathBuf;

use super::{ConfigError, KubeProxy, Options, Switch, path::absolute};

/// How Services are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// Whether they are.
    pub on: bool,
    /// The cgroup whose processes' sockets reach them; none for where cgroup v2 is mounted.
    pub cgroup_root: Option<PathBuf>,
    /// Who translates what no socket program saw.
    pub kube_proxy: KubeProxy,
}

impl Services {
    /// The cgroup; none where none is mounted and none is named.
    #[must_use]
    pub fn root(&self) -> Option<PathBuf> {
        self.cgroup_root.clone().or_else(mounted)
    }
}

impl Options {
    pub(super) fn services(&self) -> Result<Services, ConfigError> {
        self.cgroup_root.as_deref().map_or(Ok(()), |root| absolute("cgroup-root", root))?;
        Ok(Services {
            on: self.services.unwrap_or_default() == Switch::On,
            cgroup_root: self.cgroup_root.clone(),
            kube_proxy: self.kube_proxy.unwrap_or_default(),
        })
    }
}

/// Where cgroup v2 is mounted.
fn mounted() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(cgroup2).map(Into::into)
}

/// The path of a line of `/proc/self/mounts`, if it is cgroup v2's.
pub(crate) fn cgroup2(line: &str) -> Option<&str> {
    let mut fields = line.split(' ').skip(1);
    let (path, kind) = (fields.next()?, fields.next()?);
    (kind == "cgroup2").then_some(path)
}

#[cfg(test)]
mod tests {
    use super::cgroup2;

    fn check(line: &str, expected: Option<&str>) {
        assert_eq!(cgroup2(line), expected, "{line}");
    }

    #[test]
    fn the_unified_hierarchy_is_told_from_the_others() {
        check("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0", Some("/sys/fs/cgroup"));
        check("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0", None);
        check("tmpfs /sys/fs/cgroup tmpfs rw 0 0", None);
    }
}
