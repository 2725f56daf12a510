//! The chart and the manifest that is rendered from it.

use std::{fs, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    image,
    setup::kubernetes,
    step::{capture, step},
    workspace::Workspace,
};

const CHART: &str = "deploy/helm/ferrule";
const MANIFEST: &str = "deploy/kubernetes/ferrule.yaml";
/// What the manifest is rendered for; nothing in the chart asks for the version.
const KUBERNETES: &str = "1.34.2";
const NOTICE: &str =
    "# Rendered from deploy/helm/ferrule by `cargo xtask lint --update-manifest`: change the chart instead.\n";

/// That Helm takes the chart, and that the manifest is what it renders.
///
/// # Errors
/// What differs and what mends it.
pub fn check(workspace: &Workspace) -> Result<()> {
    let rendered = render(workspace)?;
    let found = fs::read_to_string(workspace.root.join(MANIFEST)).unwrap_or_default();
    if found != rendered {
        let at = found.lines().zip(rendered.lines()).position(|(a, b)| a != b);
        let line = at.map_or_else(|| found.lines().count().min(rendered.lines().count()) + 1, |at| at + 1);
        bail!(
            "{MANIFEST} is not what {CHART} renders to (line {line}); `cargo xtask lint --update-manifest` writes it anew"
        );
    }
    if !rendered.contains(&format!("image: {}\n", image::NAME)) {
        bail!(
            "{CHART} names another image than `cargo xtask image` builds ({}); change image.repository or appVersion",
            image::NAME
        );
    }
    Ok(())
}

/// Writes the manifest anew.
///
/// # Errors
/// Where Helm refuses the chart.
pub fn update(workspace: &Workspace) -> Result<()> {
    let path = workspace.root.join(MANIFEST);
    fs::write(&path, render(workspace)?).with_context(|| path.display().to_string())
}

fn render(workspace: &Workspace) -> Result<String> {
    let helm = kubernetes::helm(workspace)?;
    let chart = workspace.root.join(CHART);
    step("helm lint", Command::new(&helm).args(["lint", "--strict", "--kube-version", KUBERNETES]).arg(&chart))?;
    let mut template = Command::new(&helm);
    template.args(["template", "ferrule"]).arg(&chart);
    // Without the Job of `helm uninstall`.
    template.args(["--namespace", "kube-system", "--kube-version", KUBERNETES, "--no-hooks"]);
    Ok(format!("{NOTICE}{}", capture(&mut template)?))
}
