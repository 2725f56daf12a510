//! What Services need: cgroup v2, socket programs, sockets that can be ended from outside, and who else serves them.

use aya::{programs::ProgramType, sys::is_program_supported};
use ferrule_api::chain::chain;
use ferrule_kernel::{
    bpf::sys,
    net::{kube_proxy, sockets},
};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use super::Check;
use crate::config::{KubeProxy, Services};

pub(super) fn all(services: &Services) -> Vec<Check> {
    if !services.on {
        return vec![Check::ok("Services", "off", "left to others, as --services says")];
    }
    vec![cgroup(services), programs(), refusals(), endings(), proxy(services.kube_proxy)]
}

fn cgroup(services: &Services) -> Check {
    const WHAT: &str = "cgroup v2";
    match (services.root(), &services.cgroup_root) {
        (Some(path), None) => Check::ok(WHAT, path.display().to_string(), "sockets below it reach Services"),
        (Some(path), Some(_)) => match statfs(&path).map(|found| found.filesystem_type()) {
            Ok(CGROUP2_SUPER_MAGIC) => {
                Check::ok(WHAT, path.display().to_string(), "sockets below it reach Services, as --cgroup-root says")
            }
            found => Check::otherwise(
                WHAT,
                match found {
                    Ok(_) => format!("{} is none", path.display()),
                    Err(error) => format!("{}: {error}", path.display()),
                },
                "Services are not translated at the socket: correct --cgroup-root (/sys/fs/cgroup/unified where version 1 is in use beside it)",
            ),
        },
        (None, _) => Check::otherwise(
            WHAT,
            "not mounted",
            "Services are not translated at the socket: mount it, or let kube-proxy serve them",
        ),
    }
}

fn programs() -> Check {
    const WHAT: &str = "socket programs";
    match is_program_supported(ProgramType::CgroupSockAddr) {
        Ok(true) => Check::ok(WHAT, "yes", "Services are translated before there is a packet"),
        Ok(false) => Check::fails(WHAT, "no", "boot a kernel with CONFIG_CGROUP_BPF, or give --services off"),
        Err(error) => {
            Check::fails(WHAT, format!("bpf(2) is refused: {}", chain(&error)), "run it as root with CAP_SYS_ADMIN")
        }
    }
}

fn refusals() -> Check {
    const WHAT: &str = "refused Services";
    match sys::accepts_set_retval() {
        Ok(true) => Check::ok(WHAT, "ECONNREFUSED", "as where nobody listens"),
        Ok(false) => Check::otherwise(WHAT, "EPERM", "clients see another error (5.18 lets programs choose it)"),
        Err(error) => Check::otherwise(WHAT, format!("EPERM: {error}"), "clients see another error"),
    }
}

/// Asks for the end of sockets that nobody can have.
fn endings() -> Check {
    const WHAT: &str = "sockets ended from outside";
    match sockets::can_end() {
        Ok(true) => Check::ok(WHAT, "yes", "UDP sockets leave a backend that goes"),
        Ok(false) => Check::otherwise(
            WHAT,
            "no",
            "a connected UDP socket keeps a backend that has gone until its owner opens another (CONFIG_INET_UDP_DIAG, CONFIG_INET_DIAG_DESTROY)",
        ),
        Err(error) => Check::otherwise(
            WHAT,
            format!("unknown: {error}"),
            "connected UDP sockets may keep a backend that has gone",
        ),
    }
}

fn proxy(wanted: KubeProxy) -> Check {
    const WHAT: &str = "kube-proxy";
    match (wanted, kube_proxy::is_there()) {
        (KubeProxy::Present, _) => Check::ok(WHAT, "as --kube-proxy says", "it translates what no socket program saw"),
        (KubeProxy::Absent, _) => Check::ok(WHAT, "as --kube-proxy says", "what no socket program saw is refused"),
        (KubeProxy::Auto, Ok(true)) => {
            Check::ok(WHAT, "its rules are there", "it translates what no socket program saw")
        }
        (KubeProxy::Auto, Ok(false)) => {
            Check::ok(WHAT, "no rules of kube-proxy found", "what no socket program saw is refused")
        }
        (KubeProxy::Auto, Err(error)) => {
            Check::otherwise(WHAT, format!("unknown: {error}"), "say by --kube-proxy whether it runs here")
        }
    }
}
