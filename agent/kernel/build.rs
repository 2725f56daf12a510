//! Hands the compiled eBPF object to `include_bytes_aligned!`. `cargo xtask build-ebpf` makes it; `FERRULE_EBPF` names
//! another.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=FERRULE_EBPF");
    // Read now, not when this script was compiled: two checkouts may share a target folder.
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    // The feature `other-layout` has an object of its own.
    let folder = if env::var_os("CARGO_FEATURE_OTHER_LAYOUT").is_some() { "ebpf-other" } else { "ebpf" };
    let built = || own.join("../../target").join(folder).join("ferrule-ebpf");
    let object = env::var_os("FERRULE_EBPF").map_or_else(built, PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("ferrule-ebpf");
    if let Err(error) = fs::copy(&object, &target) {
        println!(
            "cargo::error=the eBPF object {} cannot be read ({error}); build it with `cargo xtask build-ebpf`",
            object.display()
        );
    }
}
