//! What of BPF this kernel has: program and map kinds, helpers, instructions. Each is tried with a program or a map that
//! nobody sees.

use std::error::Error;

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};
use ferrule_api::chain::chain;
use ferrule_kernel::{
    bpf::{self, mode, room, sys},
    net::xfrm,
};

use super::{Check, kernel};
use crate::config::{Attach, Config, Encapsulation, Routing};

/// Helpers that every packet's way needs.
const HELPERS: [(BpfHelper, &str); 5] = [
    (BpfHelper::BPF_FUNC_redirect_peer, "redirect_peer"),
    (BpfHelper::BPF_FUNC_redirect_neigh, "redirect_neigh"),
    (BpfHelper::BPF_FUNC_redirect, "redirect"),
    (BpfHelper::BPF_FUNC_skb_set_tunnel_key, "skb_set_tunnel_key"),
    (BpfHelper::BPF_FUNC_skb_change_type, "skb_change_type"),
];

/// Kinds of maps that the datapath consists of.
const MAPS: [(MapType, &str); 7] = [
    (MapType::Hash, "hash"),
    (MapType::LruHash, "lru_hash"),
    (MapType::Array, "array"),
    (MapType::PerCpuArray, "percpu_array"),
    (MapType::LpmTrie, "lpm_trie"),
    (MapType::Queue, "queue"),
    (MapType::RingBuf, "ringbuf"),
];

pub(super) fn all(config: &Config) -> Vec<Check> {
    let mut checks = vec![programs(), helpers(), maps(), tcx(config.attach), cmpxchg(), batches()];
    if config.routing != Routing::Native {
        checks.push(encapsulation(config.encapsulation));
    }
    checks
}

fn programs() -> Check {
    const WHAT: &str = "tc programs";
    match is_program_supported(ProgramType::SchedClassifier) {
        Ok(true) => Check::ok(WHAT, "yes", "the datapath's kind"),
        Ok(false) => Check::fails(WHAT, "no", "boot a kernel with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF"),
        Err(error) => refused(WHAT, &error),
    }
}

/// Nothing is known then of what the kernel has.
fn refused(what: &'static str, error: &(dyn Error + 'static)) -> Check {
    Check::fails(
        what,
        format!("bpf(2) is refused: {}", chain(error)),
        "run it as root with CAP_SYS_ADMIN; kernel lockdown or a seccomp profile may forbid it, too",
    )
}

/// The names of what is missing.
fn missing<T: Copy, E>(all: &[(T, &'static str)], has: impl Fn(T) -> Result<bool, E>) -> Result<Vec<&'static str>, E> {
    let mut missing = Vec::new();
    for (one, name) in all {
        if !has(*one)? {
            missing.push(*name);
        }
    }
    Ok(missing)
}

fn helpers() -> Check {
    const WHAT: &str = "redirects";
    match missing(&HELPERS, |helper| is_helper_supported(ProgramType::SchedClassifier, helper)) {
        Ok(none) if none.is_empty() => {
            Check::ok(WHAT, "redirect_peer, redirect_neigh", "packets pass the node without its stack")
        }
        Ok(missing) => Check::fails(
            WHAT,
            format!("no {}", missing.join(", ")),
            "they came with Linux 5.10: boot it or a newer one",
        ),
        Err(error) => refused(WHAT, &error),
    }
}

fn maps() -> Check {
    const WHAT: &str = "maps";
    match missing(&MAPS, is_map_supported) {
        Ok(none) if none.is_empty() => {
            Check::ok(WHAT, MAPS.map(|(_, name)| name).join(", "), "hold pods, nodes, flows and counters")
        }
        Ok(missing) => {
            Check::fails(WHAT, format!("no {}", missing.join(", ")), "boot Linux 5.10 or newer with CONFIG_BPF_SYSCALL")
        }
        Err(error) => refused(WHAT, &error),
    }
}

fn tcx(wanted: Option<Attach>) -> Check {
    let found = if mode::has_tcx() { "yes" } else { "absent" };
    match (mode::mode(wanted.map(Into::into)), wanted) {
        (Err(error), _) => Check::fails("TCX", found, error.to_string()),
        (Ok(bpf::Attach::Tcx), _) => Check::ok("TCX", found, "devices that stay take TCX links"),
        (Ok(bpf::Attach::Clsact), Some(_)) => Check::ok("TCX", found, "clsact is used, as --attach says"),
        (Ok(bpf::Attach::Clsact), None) => Check::otherwise("TCX", found, "clsact is used (TCX came with Linux 6.6)"),
    }
}

/// What of it is the kernel's and the host's; which devices there are shows in `ferrule status`.
fn encapsulation(wanted: Encapsulation) -> Check {
    const WHAT: &str = "encapsulation";
    let by_device = "pods' packets to other nodes pass the overlay device";
    match (crate::encapsulation::is_by_programs(wanted), xfrm::has_policies()) {
        (Err(error), _) => Check::fails(WHAT, "by the overlay device", error.to_string()),
        (Ok(false), _) if wanted == Encapsulation::Device => {
            Check::ok(WHAT, "by the overlay device", "as --encapsulation says")
        }
        (Ok(false), _) => {
            Check::otherwise(WHAT, "by the overlay device", format!("{by_device} (Linux 5.12 needs none)"))
        }
        (Ok(true), Ok(false)) if room::opens_v6().unwrap_or_default() => {
            Check::ok(WHAT, "by programs", "pods' packets to other nodes pass no overlay device where both are on IPv4")
        }
        (Ok(true), Ok(false)) => {
            let means = "what arrives for pods' IPv6 addresses passes the overlay device (Linux 6.3 needs none)";
            Check::otherwise(WHAT, "by programs", means)
        }
        (Ok(true), Ok(true)) => {
            Check::otherwise(WHAT, "by the overlay device", format!("{by_device}, since the node has IPsec policies"))
        }
        (Ok(true), Err(error)) => Check::otherwise(
            WHAT,
            "by the overlay device",
            format!("{by_device}, since the kernel does not tell of IPsec policies: {error}"),
        ),
    }
}

fn cmpxchg() -> Check {
    const WHAT: &str = "atomic compare-and-exchange";
    match sys::accepts_cmpxchg() {
        Ok(true) => Check::ok(WHAT, "yes", "no program of this version needs it"),
        Ok(false) => Check::ok(WHAT, "absent", "no program of this version needs it (it came with Linux 5.12)"),
        Err(error) => Check::otherwise(WHAT, format!("unknown: {error}"), "no program of this version needs it"),
    }
}

/// Hashes since 5.6, which every kernel has that gets here; tries since 5.13.
fn batches() -> Check {
    const WHAT: &str = "batched reads of maps";
    match kernel::version(&kernel::text()) {
        Some(version) if version >= (5, 13) => Check::ok(WHAT, "hashes and tries", "the agent reads maps at once"),
        _ => Check::otherwise(WHAT, "hashes", "tries are read key by key (5.13 reads them at once)"),
    }
}
