//! The network between machines: a bridge in a namespace of its own, and the control plane's namespace as a host on it.

use std::{path::Path, process::Command};

use anyhow::Result;

use super::process::{run, words};

/// The namespace of the bridge.
const FABRIC: &str = "ferrule-fabric";
/// The namespace of the control plane.
pub const CONTROL: &str = "ferrule-control";

/// Makes bridge and control plane's host; nothing where they are there.
///
/// # Errors
/// Where a command fails.
pub fn ensure(api_server: &str, v6: &str) -> Result<()> {
    if Path::new("/run/netns").join(CONTROL).exists() {
        return Ok(());
    }
    for line in [
        format!("ip netns add {FABRIC}"),
        format!("ip -n {FABRIC} link add fabric type bridge"),
        format!("ip -n {FABRIC} link set fabric up"),
        format!("ip netns add {CONTROL}"),
    ] {
        run(&mut words(&line))?;
    }
    join("control", &Path::new("/run/netns").join(CONTROL), [api_server, v6])
}

/// Plugs a namespace in: its `eth0`, with these addresses.
///
/// # Errors
/// Where a command fails.
pub fn join(name: &str, netns: &Path, [v4, v6]: [&str; 2]) -> Result<()> {
    let target = netns.display();
    run(&mut words(&format!("ip -n {FABRIC} link add p-{name} type veth peer name eth0 netns {target}")))?;
    run(&mut words(&format!("ip -n {FABRIC} link set p-{name} master fabric up")))?;
    for line in [
        "ip link set lo up".to_owned(),
        format!("ip addr add {v4}/24 dev eth0"),
        format!("ip addr add {v6}/64 dev eth0 nodad"),
        "ip link set eth0 up".to_owned(),
    ] {
        run(&mut within(netns, &line))?;
    }
    Ok(())
}

/// A line of words in a network namespace.
#[must_use]
pub fn within(netns: &Path, line: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", netns.display())).args(line.split_whitespace());
    command
}

/// Removes all of it.
pub fn remove() {
    for name in [CONTROL, FABRIC] {
        // One that is not there is fine.
        let _ = run(&mut words(&format!("ip netns del {name}")));
    }
}
