//! What the machine's administrator decides: rights, mounts, limits, sysctls.

use std::{fs, path::Path};

use ferrule_api::chain::chain;
use ferrule_kernel::{
    bpf::{Pins, PinsError, memlock},
    net::sysctl,
};
use nix::sys::resource::{Resource, getrlimit};

use super::Check;

/// Capabilities by their bit (linux/capability.h): all that the agent needs. The second one stands for CAP_BPF and
/// CAP_PERFMON, which are parts of it.
const NEEDED: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];

pub(super) fn privileges() -> Check {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let missing = missing(&status);
    let root = nix::unistd::Uid::effective().is_root();
    match (root, missing.as_slice()) {
        (true, []) => Check::ok("rights", "root with CAP_NET_ADMIN and CAP_SYS_ADMIN", "loads and configures"),
        (false, _) => Check::fails("rights", "not root", "run it as root"),
        (true, missing) => Check::fails(
            "rights",
            format!("root without {}", missing.join(", ")),
            "give it: as CapabilityBoundingSet of the systemd unit, or capabilities.add of the container",
        ),
    }
}

/// From `CapEff: 000001ffffffffff`.
fn missing(status: &str) -> Vec<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    NEEDED.iter().filter(|(bit, _)| effective >> bit & 1 == 0).map(|(_, name)| *name).collect()
}

pub(super) fn bpffs(root: &Path) -> Check {
    let pins = Pins::new(root);
    match pins.is_on_bpffs().and_then(|()| pins.is_writable()) {
        Ok(()) => Check::ok("BPF file system", root.display().to_string(), "maps and links outlive the agent there"),
        Err(error @ PinsError::NotBpf { .. }) => Check::fails("BPF file system", "none", error.to_string()),
        Err(error) => Check::fails(
            "BPF file system",
            chain(&error),
            "let it be written: as root, and in a container with appArmorProfile Unconfined and an SELinux type such as spc_t",
        ),
    }
}

/// The same on every node, and what surprises whoever comes from a network that masquerades.
pub(super) fn way_out() -> Check {
    let means =
        "nothing is masqueraded: what is outside the cluster, an API server too, needs routes to the pods' CIDRs";
    Check::ok("way out", "with pods' own addresses", means)
}

/// Since 5.11 maps count as the process's memory (its cgroup), and the limit means nothing.
pub(super) fn memlock() -> Option<Check> {
    const WHAT: &str = "locked memory";
    if !memlock::counts() {
        return None;
    }
    let Ok((now, _)) = getrlimit(Resource::RLIMIT_MEMLOCK) else {
        return Some(Check::otherwise(WHAT, "unknown", "the limit cannot be read"));
    };
    let found = if now == nix::libc::RLIM_INFINITY { "unlimited".into() } else { format!("{} KiB", now / 1024) };
    Some(match memlock::raise() {
        Ok(()) => {
            Check::ok(WHAT, found, "the agent lifts the limit for itself, which kernels before 5.11 count maps by")
        }
        Err(error) => Check::fails(
            WHAT,
            found,
            format!(
                "kernels before 5.11 count maps by it, and it cannot be lifted ({error}): LimitMEMLOCK=infinity or CAP_SYS_RESOURCE"
            ),
        ),
    })
}

pub(super) fn sysctls() -> Vec<Check> {
    let mut checks = vec![set_by_agent("IPv4 forwarding", "net/ipv4/ip_forward", "1"), reverse_path()];
    if sysctl::file("net/ipv6/conf/all/forwarding").exists() {
        checks.push(set_by_agent("IPv6 forwarding", "net/ipv6/conf/all/forwarding", "1"));
    } else {
        checks.push(Check::otherwise(
            "IPv6 forwarding",
            "no IPv6",
            "pods get IPv4 only (ipv6.disable=1 on the kernel's command line?)",
        ));
    }
    checks.push(match read("net/core/bpf_jit_enable").as_deref() {
        Some("0") => Check::otherwise(
            "BPF JIT",
            "off",
            "programs are interpreted, several times slower: sysctl net.core.bpf_jit_enable=1",
        ),
        Some(_) => Check::ok("BPF JIT", "on", "programs are compiled"),
        None => Check::otherwise("BPF JIT", "unknown", "net.core.bpf_jit_enable cannot be read"),
    });
    checks.extend(match read("net/core/bpf_jit_harden").as_deref() {
        Some("2") => Some(Check::otherwise(
            "BPF JIT hardening",
            "for all",
            "compiled programs are blinded, and slower; 1 spares root's",
        )),
        Some(value) => Some(Check::ok("BPF JIT hardening", value, "does not touch root's programs")),
        None => None,
    });
    checks.push(match read("kernel/unprivileged_bpf_disabled").as_deref() {
        Some("0") => Check::otherwise(
            "unprivileged BPF",
            "allowed",
            "the agent needs none of it: sysctl kernel.unprivileged_bpf_disabled=2",
        ),
        Some(_) => Check::ok("unprivileged BPF", "not allowed", "the agent needs none of it"),
        None => Check::ok("unprivileged BPF", "not in this kernel", "the agent needs none of it"),
    });
    checks
}

/// One that the agent sets at its start, where it may.
fn set_by_agent(what: &'static str, path: &str, wanted: &str) -> Check {
    let name = path.replace('/', ".");
    match read(path) {
        Some(value) if value == wanted => Check::ok(what, format!("{name}={value}"), "as it has to be"),
        Some(value) if is_writable(path) => {
            Check::ok(what, format!("{name}={value}"), format!("the agent sets it to {wanted}"))
        }
        Some(value) => Check::fails(
            what,
            format!("{name}={value}"),
            format!(
                "it cannot be written; set it to {wanted} before, or mount the host's /proc/sys/net and give --sysctl-root"
            ),
        ),
        None => Check::fails(what, format!("{name} cannot be read"), "mount /proc"),
    }
}

fn reverse_path() -> Check {
    const WHAT: &str = "reverse path filter";
    match read("net/ipv4/conf/all/rp_filter").as_deref() {
        Some("0") => Check::ok(
            WHAT,
            "net.ipv4.conf.all.rp_filter=0",
            "the agent switches it off on devices whose packets the programs judge",
        ),
        Some("2") => Check::ok(WHAT, "net.ipv4.conf.all.rp_filter=2 (loose)", "lets pods' packets through"),
        Some(value) => Check::ok(
            WHAT,
            format!("net.ipv4.conf.all.rp_filter={value} (strict)"),
            "the agent makes it loose (2) on devices whose packets the programs judge",
        ),
        None => Check::fails(WHAT, "net.ipv4.conf.all.rp_filter cannot be read", "mount /proc"),
    }
}

fn is_writable(path: &str) -> bool {
    nix::unistd::access(&sysctl::file(path), nix::unistd::AccessFlags::W_OK).is_ok()
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(sysctl::file(path)).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_capability_is_named() {
        assert!(missing("Name:\tx\nCapEff:\t000001ffffffffff\n").is_empty());
        assert_eq!(missing("CapEff:\t0000000000000000\n"), ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]);
        assert_eq!(missing("CapEff:\t0000008000201000\n"), Vec::<&str>::new());
        assert_eq!(missing("CapEff:\t0000008000200000\n"), ["CAP_NET_ADMIN"]);
    }

    #[test]
    fn a_folder_that_is_no_bpffs_is_named_with_what_to_do() {
        let check = bpffs(Path::new("/tmp/ferrule"));
        assert_eq!(check.verdict, super::super::Verdict::Fails);
        assert!(check.means.contains("mount -t bpf") && check.means.contains("--bpffs"), "{check:?}");
    }

    /// A profile of the runtime's for all system calls, no more rights than are named, nothing to write but what is mounted.
    #[test]
    fn every_container_is_confined() {
        let manifest = include_str!("../../../deploy/kubernetes/ferrule.yaml");
        let set = manifest.split("\n---\n").find(|part| part.contains("kind: DaemonSet")).unwrap();
        let set: serde_json::Value = serde_saphyr::from_str(set).unwrap();
        let pod = &set["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let containers = ["initContainers", "containers"].into_iter().flat_map(|list| pod[list].as_array().unwrap());
        let containers: Vec<_> = containers.collect();
        assert_eq!(containers.len(), 2, "{containers:?}");
        for container in containers {
            let context = &container["securityContext"];
            assert!(context["seccompProfile"].is_null(), "nothing in the pod's place: {container}");
            assert_eq!(context["allowPrivilegeEscalation"], false, "{container}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{container}");
            assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]), "{container}");
            assert!(context["privileged"].is_null(), "{container}");
        }
        assert!(!manifest.contains("seccompProfile: {type: Unconfined}"));
        // The kubelet ends what this says is dead: nobody but root may take its place.
        let agent = &pod["containers"][0];
        for probe in ["startupProbe", "livenessProbe"] {
            assert_eq!(agent[probe]["exec"]["command"], serde_json::json!(["/usr/bin/ferrule", "alive"]), "{probe}");
        }
    }

    /// More than that would be rights that nobody uses; less, an agent that does not start.
    #[test]
    fn the_chart_gives_what_is_needed_and_the_unit_no_part_of_it_twice() {
        let needed: Vec<&str> = NEEDED.iter().map(|(_, name)| name.trim_start_matches("CAP_")).collect();
        let chart = include_str!("../../../deploy/kubernetes/ferrule.yaml");
        let lists: Vec<&str> = chart.lines().filter_map(|line| line.trim().strip_prefix("add: [")).collect();
        let agent = lists.iter().any(|list| list.trim_end_matches(']').split(", ").eq(needed.iter().copied()));
        assert!(agent, "{lists:?}");
        let unit = include_str!("../../../deploy/systemd/ferrule-agent.service");
        let given: Vec<&str> = unit
            .lines()
            .filter_map(|line| line.strip_prefix("CapabilityBoundingSet="))
            .flat_map(str::split_whitespace)
            .collect();
        assert!(NEEDED.iter().all(|(_, name)| given.contains(name)), "{given:?}");
        assert!(!given.contains(&"CAP_BPF") && !given.contains(&"CAP_PERFMON"), "{given:?}");
    }
}
