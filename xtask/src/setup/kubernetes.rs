//! Kubernetes' own programs, Helm and CoreDNS, built from their published Go modules: there is nothing to download that a
//! test could run as it is.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::go;
use crate::{
    step::{capture, step},
    workspace::Workspace,
};

/// The version of Kubernetes that tests run.
const VERSION: &str = "1.34.2";
const COMMANDS: [&str; 6] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl", "kube-proxy"];
/// Servers and clients for tests, one program.
const AGNHOST: &str = "agnhost";
/// The cluster's name server.
const COREDNS: (&str, &str) = ("coredns", "github.com/coredns/coredns@v1.12.4");
/// Renders and installs the chart.
const HELM: (&str, &str) = ("helm", "helm.sh/helm/v3/cmd/helm@v3.19.0");

/// The folder of Kubernetes' programs, agnhost, CoreDNS and Helm, built where they are missing: ten minutes on two CPUs, once.
///
/// # Errors
/// Where Go is missing or something does not build.
pub fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let folder = folder(workspace);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let missing: Vec<&str> = COMMANDS.into_iter().chain([AGNHOST]).filter(|name| !folder.join(name).exists()).collect();
    if !missing.is_empty() {
        println!("Kubernetes {VERSION}: the test cluster's components, built from Go modules");
        let go = go::ensure()?;
        let module = module(&go, &folder)?;
        for name in missing {
            build(&go, &module, &folder, name)?;
        }
    }
    install(COREDNS, &folder)?;
    install(HELM, &folder)?;
    Ok(folder)
}

/// Where they are; `FERRULE_KUBERNETES` names another folder, with programs that somebody built before.
pub fn folder(workspace: &Workspace) -> PathBuf {
    let own = || workspace.tools().join(format!("kubernetes-{VERSION}"));
    std::env::var_os("FERRULE_KUBERNETES").map_or_else(own, PathBuf::from)
}

/// The file of Helm, built where it is missing.
///
/// # Errors
/// As [`ensure`].
pub fn helm(workspace: &Workspace) -> Result<PathBuf> {
    let folder = folder(workspace);
    install(HELM, &folder)?;
    Ok(folder.join(HELM.0))
}

/// A module that builds Kubernetes: it replaces its staging modules by folders of its own tree, and the same modules are
/// published one by one.
fn module(go: &Path, folder: &Path) -> Result<PathBuf> {
    let module = folder.join("module");
    if module.join("done").exists() {
        return Ok(module);
    }
    fs::create_dir_all(&module)?;
    let text = format!("module ferrule.test/kubernetes\ngo 1.24.0\nrequire k8s.io/kubernetes v{VERSION}\n");
    fs::write(module.join("go.mod"), text)?;
    let run = || {
        let mut command = Command::new(go);
        command.current_dir(&module);
        command
    };
    let found = capture(run().args(["mod", "download", "-json", &format!("k8s.io/kubernetes@v{VERSION}")]))?;
    let found: serde_json::Value = serde_json::from_str(&found)?;
    let its_own = fs::read_to_string(found["GoMod"].as_str().context("go tells where the module's go.mod is")?)?;
    let staging = VERSION.strip_prefix("1.").map(|rest| format!("0.{rest}")).context("a version of Kubernetes 1")?;
    let mut edit = run();
    edit.args(["mod", "edit"]);
    for line in its_own.lines().filter(|line| line.contains("=> ./staging/")) {
        if let Some(name) = line.split_whitespace().next() {
            edit.arg(format!("-replace={name}={name}@v{staging}"));
        }
    }
    capture(&mut edit)?;
    let mut tools = "//go:build tools\n\npackage tools\n\nimport (\n".to_owned();
    for name in COMMANDS.into_iter().chain([AGNHOST]) {
        writeln!(tools, "\t_ {:?}", package(name))?;
    }
    fs::write(module.join("tools.go"), tools + ")\n")?;
    step("resolve Kubernetes' modules", run().args(["mod", "tidy", "-e"]))?;
    fs::write(module.join("done"), "")?;
    Ok(module)
}

fn package(name: &str) -> String {
    if name == AGNHOST {
        "k8s.io/kubernetes/test/images/agnhost".into()
    } else {
        format!("k8s.io/kubernetes/cmd/{name}")
    }
}

fn build(go: &Path, module: &Path, folder: &Path, name: &str) -> Result<()> {
    let minor = VERSION.split('.').nth(1).unwrap_or_default();
    let about = "k8s.io/component-base/version";
    let flags = format!("-s -w -X {about}.gitVersion=v{VERSION} -X {about}.gitMajor=1 -X {about}.gitMinor={minor}");
    let mut command = Command::new(go);
    command.current_dir(module).env("CGO_ENABLED", "0");
    command.args(["build", "-trimpath", "-ldflags", &flags, "-o"]).arg(folder.join(name)).arg(package(name));
    step(&format!("build {name}"), &mut command)
}

fn install((name, package): (&str, &str), folder: &Path) -> Result<()> {
    if folder.join(name).exists() {
        return Ok(());
    }
    let mut command = Command::new(go::ensure()?);
    command.env("CGO_ENABLED", "0").env("GOBIN", folder).args(["install", "-trimpath", "-ldflags", "-s -w", package]);
    step(&format!("build {name}"), &mut command)
}
