//! What tests of the loaded programs share.

/// The folder of the objects that `cargo xtask build-ebpf` made.
#[must_use]
pub fn ebpf_folder() -> std::path::PathBuf {
    std::env::var_os("FERRULE_EBPF_DIR")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/ebpf").into(), std::path::PathBuf::from)
}
