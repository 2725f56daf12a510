//! The demo: built here, run as root.

use anyhow::{Result, bail};

use crate::{ebpf, privilege, setup, step::step, workspace::Workspace};

/// Builds and runs it.
///
/// # Errors
/// Where something is missing, or a pod does not reach what it should.
pub fn run(workspace: &Workspace, keep: bool, clean: bool) -> Result<()> {
    let privilege = privilege::root("make network namespaces and load eBPF programs")?;
    setup::demo(workspace)?;
    ebpf::build(workspace)?;
    step("build the agent, the plugin and the demo", workspace.cargo().args(["build", "--bins"]))?;
    let mut demo = privilege.command(workspace.binaries().join("demo"));
    if keep {
        demo.arg("--keep");
    }
    if clean {
        demo.arg("--clean");
    }
    let status = demo.status()?;
    if !status.success() {
        bail!("the demo failed ({status}); what it printed above says where");
    }
    Ok(())
}
