//! Installs what is missing, and says what and why. Asks nothing; what is there already is left alone.

pub mod apt;
pub mod bpffs;
pub mod cross;
pub mod go;
pub mod kubernetes;
pub mod linker;
mod llvm;
pub mod private_apt;
pub mod promtool;
pub mod toolchain;
pub mod tools;

use anyhow::Result;
use apt::Need;

use crate::{arch::Arch, test::Tier, workspace::Workspace};

/// `cargo xtask setup [TIER]`.
///
/// # Errors
/// Where something is missing that cannot be installed.
pub fn run(workspace: &Workspace, tier: Option<Tier>) -> Result<()> {
    match tier {
        Some(tier) => self::tier(workspace, tier)?,
        None => {
            demo(workspace)?;
            linting(workspace)?;
        }
    }
    println!("everything is there for {}", tier.map_or("building, lint and the demo".into(), |t| format!("tier {t}")));
    Ok(())
}

/// What building needs.
///
/// # Errors
/// As [`run`].
pub fn building(_: &Workspace) -> Result<()> {
    apt::ensure(&[
        Need::program("cc", &["gcc"], "links the binaries"),
        Need {
            probe: apt::Probe::File(format!("/usr/lib/{}-linux-gnu/libc.a", std::env::consts::ARCH)),
            packages: &["libc6-dev"],
            why: "is the C library that binaries are linked with",
        },
    ])?;
    toolchain::ensure()?;
    linker::ensure()
}

/// What the demo needs.
///
/// # Errors
/// As [`run`].
pub fn demo(workspace: &Workspace) -> Result<()> {
    building(workspace)?;
    networking()?;
    bpffs::ensure()
}

/// What the bench needs.
///
/// # Errors
/// As [`run`].
pub fn bench(workspace: &Workspace) -> Result<()> {
    demo(workspace)?;
    apt::ensure(&[Need {
        probe: apt::Probe::File("/usr/lib/cni/bridge".into()),
        packages: &["containernetworking-plugins"],
        why: "has bridge and ptp, which the bench compares with",
    }])
}

/// What `lint` needs.
///
/// # Errors
/// As [`run`].
pub fn linting(workspace: &Workspace) -> Result<()> {
    building(workspace)?;
    apt::ensure(&[bpftool()])?;
    tools::ensure(workspace, tools::DENY)
}

/// What a tier of tests needs.
///
/// # Errors
/// As [`run`].
pub fn tier(workspace: &Workspace, tier: Tier) -> Result<()> {
    building(workspace)?;
    tools::ensure(workspace, tools::NEXTEST)?;
    match tier {
        Tier::Unit => {
            networking()?;
            apt::ensure(&[host_local()])
        }
        Tier::Packets => bpffs::ensure(),
        Tier::Netns => {
            networking()?;
            apt::ensure(&[host_local()])?;
            bpffs::ensure()
        }
        Tier::Load => {
            networking()?;
            bpffs::ensure()
        }
        Tier::Runtimes => {
            networking()?;
            apt::ensure(&[
                Need::program("containerd", &["containerd"], "runs sandboxes through the plugin"),
                Need::program("ctr", &["containerd"], "drives containerd"),
                Need::program("runc", &["runc"], "starts containerd's containers"),
                Need::program("podman", &["podman"], "calls the plugin as another runtime does"),
                Need::program("iptables", &["iptables"], "what portmap chains behind the plugin with"),
                Need::program("gcc", &["gcc", "libc6-dev"], "compiles the containers' only program"),
                host_local(),
            ])?;
            bpffs::ensure()
        }
        Tier::Cluster => {
            cluster(workspace)?;
            promtool::ensure(workspace)
        }
        Tier::Kernels => {
            networking()?;
            apt::ensure(&[
                Need::program("qemu-system-x86_64", &["qemu-system-x86"], "boots other kernels"),
                Need::program("qemu-system-aarch64", &["qemu-system-arm"], "boots a kernel for arm64"),
                Need::program("xz", &["xz-utils"], "unpacks kernels' modules"),
                Need::program("strip", &["binutils"], "makes what guests run small"),
                Need {
                    probe: apt::Probe::File(apt::KEYRING.into()),
                    packages: &["debian-archive-keyring"],
                    why: "has the keys that Debian's kernels are signed with",
                },
            ])?;
            cross::ensure(workspace, Arch::Arm64)
        }
    }
}

/// What the test cluster needs, but for Kubernetes' own programs ([`kubernetes::ensure`]).
///
/// # Errors
/// As [`run`].
pub fn cluster(workspace: &Workspace) -> Result<()> {
    building(workspace)?;
    networking()?;
    apt::ensure(&[
        Need::program("etcd", &["etcd-server"], "is what the API server keeps its objects in"),
        Need::program("containerd", &["containerd"], "runs the nodes' pods"),
        Need::program("runc", &["runc"], "starts containerd's containers"),
        Need::program("openssl", &["openssl"], "makes the cluster's certificates"),
        Need::program("gcc", &["gcc", "libc6-dev"], "compiles the pause container's program"),
        Need::program("iptables", &["iptables"], "is what portmap and kube-proxy work with"),
        Need::program("conntrack", &["conntrack"], "is what kube-proxy forgets flows with"),
        host_local(),
    ])?;
    image()?;
    bpffs::ensure()
}

/// What building the image needs.
///
/// # Errors
/// As [`run`].
pub fn image() -> Result<()> {
    apt::ensure(&[Need::program("buildah", &["buildah"], "puts the image together")])
}

fn networking() -> Result<()> {
    apt::ensure(&[
        Need::program("ip", &["iproute2"], "makes network namespaces and links"),
        Need::program("ping", &["iputils-ping"], "sends ICMP"),
        Need::program("nsenter", &["util-linux"], "starts processes in network namespaces"),
        Need::program("nft", &["nftables"], "translates addresses as hosts and kube-proxy do"),
        bpftool(),
    ])
}

fn bpftool() -> Need {
    Need::program("bpftool", &["bpftool", "linux-tools-generic"], "reads maps and their layout")
}

fn host_local() -> Need {
    Need {
        probe: apt::Probe::File("/usr/lib/cni/host-local".into()),
        packages: &["containernetworking-plugins"],
        why: "has host-local and portmap, which tests chain with the plugin",
    }
}
