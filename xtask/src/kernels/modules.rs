//! The kernel modules that a guest loads, each after those that it needs.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{cpio::Archive, package::Kernel};

/// What the datapath, pods' limits and the test topologies need.
const WANTED: [&str; 13] = [
    "veth",
    "8021q",
    "vxlan",
    "bridge",
    "cls_bpf",
    "sch_ingress",
    "af_packet",
    "ifb",
    "sch_tbf",
    "cls_u32",
    "act_mirred",
    "inet_diag",
    "udp_diag",
];

/// They and what they need, as `/modules/NN-name.ko` in the order in which to load them.
///
/// # Errors
/// Where the kernel has one neither as a module nor built in.
pub fn archive(kernel: &Kernel) -> Result<Vec<u8>> {
    let mut order = Order { files: files(&kernel.modules)?, builtin: builtin(&kernel.modules)?, loaded: Vec::new() };
    for name in WANTED {
        order.add(name).with_context(|| kernel.version.clone())?;
    }
    let mut archive = Archive::default();
    archive.folder("modules");
    for (number, (name, bytes)) in order.loaded.into_iter().enumerate() {
        archive.file(&format!("modules/{number:02}-{name}.ko"), 0o644, &bytes);
    }
    Ok(archive.finish())
}

struct Order {
    files: HashMap<String, PathBuf>,
    builtin: Vec<String>,
    loaded: Vec<(String, Vec<u8>)>,
}

impl Order {
    fn add(&mut self, name: &str) -> Result<()> {
        let name = name.replace('-', "_");
        if self.builtin.contains(&name) || self.loaded.iter().any(|(loaded, _)| *loaded == name) {
            return Ok(());
        }
        let Some(file) = self.files.get(&name) else { bail!("it has no module {name}, and not built in either") };
        let bytes = read(file)?;
        for needed in depends(&bytes) {
            self.add(&needed)?;
        }
        self.loaded.push((name, bytes));
        Ok(())
    }
}

/// Every module's file by its name.
fn files(folder: &Path) -> Result<HashMap<String, PathBuf>> {
    let mut found = HashMap::new();
    let mut folders = vec![folder.join("kernel")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(name) = module_name(&path) {
                found.insert(name, path);
            }
        }
    }
    Ok(found)
}

/// The names of what is built in: `modules.builtin` has a path a line.
fn builtin(folder: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(folder.join("modules.builtin"))?;
    Ok(text.lines().filter_map(|line| module_name(Path::new(line))).collect())
}

fn module_name(path: &Path) -> Option<String> {
    let (name, _) = path.file_name()?.to_str()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let tool = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return fs::read(file).with_context(|| file.display().to_string()),
    };
    let output = Command::new(tool).arg("-dcq").arg(file).output().with_context(|| format!("{tool} cannot be run"))?;
    if !output.status.success() {
        bail!("{tool} cannot unpack {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// The modules that one needs, as its section `.modinfo` has them: `depends=a,b`.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let value = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_tells_what_it_needs() {
        assert_eq!(
            depends(b"\x7fELF..\0license=GPL\0depends=udp_tunnel,ip6_udp_tunnel\0intree=Y\0"),
            ["udp_tunnel", "ip6_udp_tunnel"]
        );
        assert!(depends(b"\x7fELF..\0depends=\0").is_empty());
        assert!(depends(b"\x7fELF..").is_empty());
    }

    #[test]
    fn a_module_is_known_by_its_file() {
        assert_eq!(module_name(Path::new("kernel/net/sched/cls_bpf.ko.xz")).as_deref(), Some("cls_bpf"));
        assert_eq!(module_name(Path::new("kernel/net/ip6-tunnel.ko")).as_deref(), Some("ip6_tunnel"));
        assert_eq!(module_name(Path::new("modules.order")), None);
    }
}
