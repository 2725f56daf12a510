//! Which kernels are tested.

use crate::arch::Arch;

/// A suite of Debian's, whose newest kernel is tested.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// What results are reported under, and what `cargo xtask test kernels -- LABEL` picks.
    pub label: &'static str,
    /// The suite.
    pub suite: &'static str,
    /// What the kernel's version begins with; empty for whatever is newest.
    pub version: &'static str,
    /// For which architecture.
    pub arch: Arch,
}

/// Label, suite and version of each.
const RELEASES: [(&str, &str, &str); 4] =
    [("5.10", "bullseye", "5.10."), ("6.1", "bookworm", "6.1."), ("6.12", "trixie", "6.12."), ("newest", "sid", "")];

/// The guest with the other architecture: programs and packets only, since everything is emulated.
const OTHER: Release = Release { label: "arm64", suite: "trixie", version: "6.12.", arch: Arch::Arm64 };

impl Release {
    /// All, the oldest first.
    pub fn all() -> Vec<Self> {
        let own = RELEASES.map(|(label, suite, version)| Self { label, suite, version, arch: Arch::host() });
        own.into_iter().chain((Arch::host() != OTHER.arch).then_some(OTHER)).collect()
    }
}

/// Whether a kernel has this label.
pub fn is_label(word: &str) -> bool {
    Release::all().iter().any(|release| release.label == word)
}
