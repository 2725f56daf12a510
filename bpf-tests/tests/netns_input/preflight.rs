//! What `ferrule-agent preflight` finds wrong, and that the agent refuses to start with the same words.

use std::{fs, process::Command};

use test_kit::topology::binary;

use crate::support::{one_node, refusal, says};

/// What a preflight that has to fail prints.
fn failing(command: &mut Command) -> String {
    let output = command.output().expect("it can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{}: {text}", output.status);
    says(&text, &["FAILS", "this node cannot run Ferrule"]);
    text
}

#[test]
fn a_folder_that_is_no_bpf_file_system() {
    let cluster = one_node();
    let folder = cluster.nodes[0].folder().display().to_string();
    let agent = binary("ferrule-agent").expect("it was built");
    let words = [folder.as_str(), "no BPF file system is mounted there", "mount -t bpf", "--bpffs"];
    says(&failing(Command::new(agent).args(["preflight", "--bpffs", &folder])), &words);
    says(&refusal(&cluster, &["--bpffs", &folder]), &[&words[..], &["ferrule-agent preflight"]].concat());
}

#[test]
fn a_missing_right() {
    let agent = binary("ferrule-agent").expect("it was built");
    for (right, name) in [("-net_admin", "CAP_NET_ADMIN"), ("-sys_admin", "CAP_SYS_ADMIN")] {
        let mut without = Command::new("setpriv");
        without.args(["--bounding-set", right, "--inh-caps", right]).arg(&agent).arg("preflight");
        says(&failing(&mut without), &[name, "CapabilityBoundingSet"]);
    }
}

#[test]
fn sysctls_that_are_read_only_and_wrong() {
    let cluster = one_node();
    let node = &cluster.nodes[0];
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/conf/lo/forwarding").expect("it is there").trim().len(), 1);
    node.netns.sysctl("ipv4/ip_forward", "0").expect("it is ours");
    let agent = binary("ferrule-agent").expect("it was built").display().to_string();
    // A mount namespace of its own, as a container has.
    let script = format!(
        "mount -o bind,ro /proc/sys /proc/sys && exec {agent} preflight --node-name n1 --bpffs {}",
        node.pins().display()
    );
    let mut contained = node.netns.command("unshare");
    contained.args(["--mount", "sh", "-c", &script]);
    says(&failing(&mut contained), &["net.ipv4.ip_forward=0", "cannot be written", "set it to 1"]);
}
