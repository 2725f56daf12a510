//! An image of one program, in the form of `docker save`, which every runtime reads.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use super::tool::run;

/// The image's name, as runtimes list it.
pub const PAUSE: &str = "localhost/pause:1";

/// Writes the image of `program` into `folder`; its archive.
pub fn write(program: &Path, folder: &Path) -> PathBuf {
    let parts = folder.join("image");
    fs::create_dir_all(parts.join("layer")).expect("the image's folder can be made");
    fs::copy(program, parts.join("layer/pause")).expect("the program can be copied");
    let archive = |name: &str, from: &Path| {
        let path = folder.join(name);
        run(Command::new("tar").args(["--owner=0", "--group=0", "-cf"]).arg(&path).arg("-C").arg(from).arg("."));
        path
    };
    let layer = archive("image/layer.tar", &parts.join("layer"));
    let sum = run(Command::new("sha256sum").arg(&layer));
    let digest = sum.split(' ').next().expect("a sum comes first");
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [PAUSE], "Layers": ["layer.tar"]}]);
    fs::write(parts.join("config.json"), config.to_string()).expect("the image's folder can be written");
    fs::write(parts.join("manifest.json"), manifest.to_string()).expect("the image's folder can be written");
    fs::remove_dir_all(parts.join("layer")).expect("the image's folder can be written");
    let path = folder.join("pause.tar");
    let names = ["manifest.json", "config.json", "layer.tar"];
    run(Command::new("tar").arg("-cf").arg(&path).arg("-C").arg(&parts).args(names));
    path
}
