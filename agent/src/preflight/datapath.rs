//! What of BPF this kernel has: program and map kinds, helpers, instructions. Each is tried with a program or a map that
//! nobody sees.

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};

use super::{Check, kernel};
use crate::{
    bpf::{devices, sys},
    config::Attach,
};

/// Helpers that every packet's way needs.
const HELPERS: [(BpfHelper, &str); 5] = [
    (BpfHelper::BPF_FUNC_redirect_peer, "redirect_peer"),
    (BpfHelper::BPF_FUNC_redirect_neigh, "redirect_neigh"),
    (BpfHelper::BPF_FUNC_redirect, "redirect"),
    (BpfHelper::BPF_FUNC_skb_set_tunnel_key, "skb_set_tunnel_key"),
    (BpfHelper::BPF_FUNC_skb_change_type, "skb_change_type"),
];

/// Kinds of maps that the datapath consists of.
const MAPS: [(MapType, &str); 4] = [
    (MapType::Hash, "hash"),
    (MapType::Array, "array"),
    (MapType::PerCpuArray, "percpu_array"),
    (MapType::LpmTrie, "lpm_trie"),
];

pub(super) fn all(attach: Option<Attach>) -> Vec<Check> {
    vec![programs(), helpers(), maps(), tcx(attach), cmpxchg(), batches(), ring_buffer()]
}

fn programs() -> Check {
    const WHAT: &str = "tc programs";
    match is_program_supported(ProgramType::SchedClassifier) {
        Ok(true) => Check::ok(WHAT, "yes", "the datapath's kind"),
        Ok(false) => Check::fails(WHAT, "no", "boot a kernel with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF"),
        Err(error) => Check::fails(
            WHAT,
            format!("bpf(2) is refused: {error}"),
            "run it as root with CAP_SYS_ADMIN; kernel lockdown or a seccomp profile may forbid it, too",
        ),
    }
}

fn helpers() -> Check {
    const WHAT: &str = "redirects";
    let missing = HELPERS
        .iter()
        .filter(|(helper, _)| !is_helper_supported(ProgramType::SchedClassifier, *helper).unwrap_or(false));
    let missing: Vec<_> = missing.map(|(_, name)| *name).collect();
    if missing.is_empty() {
        Check::ok(WHAT, "redirect_peer, redirect_neigh", "packets pass the node without its stack")
    } else {
        Check::fails(WHAT, format!("no {}", missing.join(", ")), "they came with Linux 5.10: boot it or a newer one")
    }
}

fn maps() -> Check {
    let missing: Vec<_> =
        MAPS.iter().filter(|(kind, _)| !is_map_supported(*kind).unwrap_or(false)).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        Check::ok("maps", MAPS.map(|(_, name)| name).join(", "), "hold pods, nodes and counters")
    } else {
        Check::fails("maps", format!("no {}", missing.join(", ")), "boot a kernel with CONFIG_BPF_SYSCALL")
    }
}

fn tcx(wanted: Option<Attach>) -> Check {
    let found = if devices::has_tcx() { "yes" } else { "absent" };
    match (devices::mode(wanted), wanted) {
        (Err(error), _) => Check::fails("TCX", found, error.to_string()),
        (Ok(Attach::Tcx), _) => Check::ok("TCX", found, "devices that stay take TCX links"),
        (Ok(Attach::Clsact), Some(_)) => Check::ok("TCX", found, "clsact is used, as --attach says"),
        (Ok(Attach::Clsact), None) => Check::otherwise("TCX", found, "clsact is used (TCX came with Linux 6.6)"),
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

fn ring_buffer() -> Check {
    let found = if is_map_supported(MapType::RingBuf).unwrap_or(false) { "yes" } else { "absent" };
    Check::ok("ring buffer", found, "only a debug build of the programs writes a log")
}
