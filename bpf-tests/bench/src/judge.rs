//! Which targets the figures meet.

use crate::{
    row::Row,
    target::{
        Target,
        Target::{RatioAtLeast, RatioAtMost, ValueAtMost},
    },
};

/// Scenario, metric, subject, bound.
const TARGETS: [(&str, &str, &str, Target); 47] = [
    ("same-node", "tcp_rr", "ferrule", RatioAtLeast(0.97)),
    ("same-node", "udp_rr", "ferrule", RatioAtLeast(1.05)),
    ("same-node", "tcp_crr", "ferrule", RatioAtLeast(0.95)),
    ("same-node", "tcp_stream", "ferrule", RatioAtLeast(0.97)),
    ("same-node", "tcp_rr", "ferrule-policy", RatioAtLeast(0.97)),
    ("same-node", "udp_rr", "ferrule-policy", RatioAtLeast(1.0)),
    ("same-node", "tcp_crr", "ferrule-policy", RatioAtLeast(0.95)),
    ("programs", "time_policy", "from_pod", ValueAtMost(250.0)),
    ("programs", "run_established", "from_pod", ValueAtMost(150.0)),
    ("programs", "run_first", "from_pod", ValueAtMost(1000.0)),
    ("cross-node", "tcp_rr", "ferrule-vxlan", RatioAtLeast(1.30)),
    ("cross-node", "udp_rr", "ferrule-vxlan", RatioAtLeast(1.30)),
    ("cross-node", "tcp_crr", "ferrule-vxlan", RatioAtLeast(1.25)),
    ("cross-node", "tcp_stream", "ferrule-vxlan", RatioAtLeast(1.05)),
    ("same-node-redirect", "tcp_rr", "ferrule", RatioAtLeast(0.985)),
    ("same-node-redirect", "udp_rr", "ferrule", RatioAtLeast(0.985)),
    ("same-node-redirect", "tcp_crr", "ferrule", RatioAtLeast(0.95)),
    ("cross-node", "tcp_rr", "ferrule-native", RatioAtLeast(1.40)),
    ("services", "tcp_crr", "service", RatioAtLeast(0.98)),
    ("services", "tcp_rr", "service", RatioAtLeast(0.99)),
    ("services", "tcp_crr", "service-10k", RatioAtLeast(0.98)),
    ("services", "tcp_rr", "service-10k", RatioAtLeast(0.98)),
    ("cni", "add", "ferrule", RatioAtMost(0.5)),
    ("cni", "del", "ferrule", RatioAtMost(1.0)),
    ("cni-parallel", "add", "ferrule", RatioAtMost(0.6)),
    ("cni-parallel", "del", "ferrule", RatioAtMost(0.3)),
    ("programs", "time", "from_pod", ValueAtMost(170.0)),
    ("memory", "agent_rss", "ferrule", ValueAtMost(20.0)),
    ("memory", "maps", "ferrule", ValueAtMost(64.0)),
    ("memory", "file_size", "ferrule-cni", ValueAtMost(5.0)),
    ("scale", "agent_rss", "ferrule", ValueAtMost(80.0)),
    ("scale", "maps", "ferrule", ValueAtMost(64.0)),
    ("scale", "objects_to_maps", "ferrule", ValueAtMost(2.0)),
    ("policy", "in_force_p50", "agent", ValueAtMost(2.0)),
    ("policy", "in_force_p99", "agent", ValueAtMost(10.0)),
    ("policy", "run_100_flows", "many", RatioAtMost(1.05)),
    ("policy", "tcp_rr", "churn", RatioAtLeast(0.98)),
    ("policy", "agent_rss_and_maps", "ferrule", ValueAtMost(200.0)),
    ("kubernetes", "start_to_synced", "ferrule", ValueAtMost(5.0)),
    ("kubernetes", "agent_rss", "ferrule", ValueAtMost(150.0)),
    ("kubernetes", "cpu_changes", "ferrule", ValueAtMost(5.0)),
    ("cluster", "install_to_ready", "ferrule", ValueAtMost(20.0)),
    ("cluster", "policy_in_force_p50", "ferrule", ValueAtMost(15.0)),
    ("cluster", "policy_in_force_p99", "ferrule", ValueAtMost(60.0)),
    ("cluster", "address_known_p50", "ferrule", ValueAtMost(20.0)),
    ("cluster", "address_known_p99", "ferrule", ValueAtMost(100.0)),
    ("cluster", "sandbox", "ferrule", RatioAtMost(1.0)),
];

fn is_met(target: Target, row: &Row) -> bool {
    match target {
        RatioAtLeast(bound) => row.ratio.is_some_and(|ratio| ratio >= bound),
        RatioAtMost(bound) => row.ratio.is_some_and(|ratio| ratio <= bound),
        ValueAtMost(bound) => row.value <= bound,
    }
}

/// Gives every row its target, and says whether it is met.
pub fn judge(rows: &mut [Row]) {
    for row in rows {
        let found = TARGETS.iter().find(|(scenario, metric, subject, _)| {
            (*scenario, *metric, *subject) == (row.scenario, &row.metric, &row.subject)
        });
        row.target = found.map(|(.., target)| *target);
        row.met = row.target.map(|target| is_met(target, row));
    }
}

/// One line: how many targets are met.
pub fn sum(rows: &[Row]) -> String {
    let judged: Vec<_> = rows.iter().filter_map(|row| row.met).collect();
    let met = judged.iter().filter(|met| **met).count();
    format!("{met} of {} targets met", judged.len())
}
