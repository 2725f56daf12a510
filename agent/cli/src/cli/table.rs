//! Answers as tables for people.

use comfy_table::Table;
use ferrule_api::{
    view,
    view::{Endpoint, Finding, Ip, Node, Pod, Policy, Sample, Severity, Source, Status},
};
use serde_json::{Map, Value};

fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::TableStyle::new()).set_header(header.iter().map(|cell| cell.to_uppercase()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

pub(super) fn status(status: &Status) -> String {
    let ready = match (status.ready, &status.waiting) {
        (true, _) => "yes".to_owned(),
        (false, Some(why)) => format!("no: {why}"),
        (false, None) => "no: the source of Kubernetes objects has not been read yet".to_owned(),
    };
    let mut lines = vec![
        format!("Node          {} (ferrule {})", status.node, status.version),
        format!("Ready         {ready}"),
        format!("Source        {}", source(&status.source)),
    ];
    lines.extend(status.source.problems.iter().map(|problem| format!("  {problem}")));
    lines.extend([
        format!("Routing       {}, pods' MTU {}", status.routing, status.mtu),
        format!("Pod CIDRs     {}", or_dash(Some(&status.pod_cidrs.join(", ")))),
        format!("InternalIPs   {}", or_dash(Some(&status.internal_ips.join(", ")))),
        format!("Encapsulation {}", or_dash(Some(&status.encapsulation))),
        format!("Devices       {}", or_dash(Some(&status.devices.join(", ")))),
        format!("Endpoints     {} with {} addresses, {} resting", status.endpoints, status.leased, status.resting),
        format!("Other nodes   {} with {} known pods", status.nodes, status.remote_pods),
        format!("Policies      {}, in {} tables here", status.policies, status.policy_tables),
        format!("Services      {}", services(status)),
        format!("Flows         {} of at most {}", status.flows, status.flows_at_most),
    ]);
    for (title, items) in [("Issues", &status.issues), ("Errors", &status.errors)] {
        lines
            .push(format!("{title:<14}{}", if items.is_empty() { "none".to_owned() } else { items.len().to_string() }));
        lines.extend(items.iter().map(|item| format!("  {item}")));
    }
    lines.join("\n")
}

fn source(source: &Source) -> String {
    let synced = if source.synced { "read" } else { "not read yet" };
    let answer = source.last_answer_seconds.map(|seconds| format!(", last answer {seconds} s ago"));
    let sync = source.last_sync.as_ref().map(|at| format!(", last sync {at}"));
    format!("{}, {synced}{}{}", source.kind, answer.unwrap_or_default(), sync.unwrap_or_default())
}

fn services(status: &Status) -> String {
    let Some(cgroup) = &status.service_cgroup else { return "not translated at the socket".to_owned() };
    let proxy = if status.kube_proxy { ", beside kube-proxy" } else { "" };
    format!("{} with {} ports, for sockets of {cgroup}{proxy}", status.services, status.service_ports)
}

/// What is wrong stands below what is well; the fix has a line of its own.
pub(super) fn findings(findings: &[Finding]) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.verdict as u8);
    // Columns, and a blank behind the longest name.
    let width = findings.iter().map(|finding| finding.check.chars().count() + 1).max().unwrap_or_default().max(10);
    let lines = sorted.iter().map(|finding| {
        let verdict = match finding.verdict {
            Severity::Ok => "ok",
            Severity::Warning => "WARNING",
            Severity::Failure => "FAILURE",
        };
        let subject = if finding.subject.is_empty() { String::new() } else { format!("{}: ", finding.subject) };
        let fix = if finding.fix.is_empty() {
            String::new()
        } else {
            format!("\n{:<indent$}→ {}", "", finding.fix, indent = 9 + width)
        };
        format!("{verdict:<9}{:<width$}{subject}{}{fix}", finding.check, finding.words)
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) fn endpoints(rows: &[Endpoint]) -> String {
    table(
        &["index", "namespace", "pod", "node", "addresses", "interface", "host side", "state", "container"],
        rows.iter().map(|row| {
            vec![
                row.index.to_string(),
                or_dash(row.namespace.as_deref()),
                or_dash(row.name.as_deref()),
                row.node.clone(),
                row.addresses.join(", "),
                row.ifname.clone(),
                row.host_ifname.clone(),
                row.state.clone(),
                row.container_id.chars().take(12).collect(),
            ]
        }),
    )
}

pub(super) fn pods(rows: &[Pod]) -> String {
    table(
        &["namespace", "pod", "node", "addresses", ""],
        rows.iter().map(|row| {
            let announced = if row.announced { "announced".to_owned() } else { String::new() };
            let node = or_dash(row.node.as_deref());
            vec![row.namespace.clone(), row.name.clone(), node, row.addresses.join(", "), announced]
        }),
    )
}

pub(super) fn endpoint(rows: &[Endpoint]) -> String {
    let one = |row: &Endpoint| {
        [
            format!("Pod           {}", or_dash(row.pod.as_deref())),
            format!("Container     {} ({})", row.container_id, row.ifname),
            format!("Addresses     {}", row.addresses.join(", ")),
            format!("MAC           {}", row.mac),
            format!("MTU           {}", row.mtu),
            format!("Host side     {} (ifindex {})", row.host_ifname, row.ifindex),
            format!("Netns         {}", row.netns),
            format!("Index         {}", row.index),
            format!("State         {}", row.state),
            format!("Delivery      {}", if row.enforce_only { "another plugin's; policies only" } else { "Ferrule's" }),
        ]
        .join("\n")
    };
    rows.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

pub(super) fn nodes(rows: &[Node]) -> String {
    table(
        &["index", "name", "forwarding", "source", "tunnel", "uplink", "next hops", "internal ips", "mtu"],
        rows.iter().map(|row| {
            vec![
                row.index.to_string(),
                row.name.clone(),
                row.forwarding.clone(),
                or_dash(row.source.as_deref()),
                or_dash(row.tunnel.as_deref()),
                or_dash(row.uplink.as_deref()),
                or_dash(Some(&row.next_hops.join(", "))),
                row.internal_ips.join(", "),
                row.mtu.to_string(),
            ]
        }),
    )
}

pub(super) fn ips(rows: &[Ip]) -> String {
    table(
        &["address", "pod", "source", "container"],
        rows.iter().map(|row| {
            let container = row.container_id.chars().take(12).collect();
            vec![row.address.clone(), or_dash(row.pod.as_deref()), row.source.clone(), container]
        }),
    )
}

pub(super) fn policies(rows: &[Policy]) -> String {
    let rules = |rules: Option<usize>| rules.map_or_else(|| "-".to_owned(), |rules| format!("{rules} rules"));
    table(
        &["policy", "ingress", "egress", "pods here", ""],
        rows.iter().map(|row| {
            let wrong = if row.issues.is_empty() { String::new() } else { "NOT IN FORCE".to_owned() };
            vec![row.name.clone(), rules(row.ingress), rules(row.egress), row.pods.len().to_string(), wrong]
        }),
    )
}

pub(super) fn policy(rows: &[Policy]) -> String {
    let rules = |rules: Option<usize>| match rules {
        None => "not isolated".to_owned(),
        Some(0) => "isolated, nothing allowed".to_owned(),
        Some(rules) => format!("isolated, {rules} rules"),
    };
    let one = |row: &Policy| {
        let mut lines = vec![
            format!("Policy        {}", row.name),
            format!("Ingress       {}", rules(row.ingress)),
            format!("Egress        {}", rules(row.egress)),
            format!("Pods here     {}", or_dash(Some(&row.pods.join(", ")))),
        ];
        lines.extend(row.issues.iter().map(|issue| format!("  {issue}")));
        lines.join("\n")
    };
    rows.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

pub(super) fn service_list(rows: &[view::Service]) -> String {
    let backends = |row: &view::Service| {
        let count = |port: &view::ServicePort| port.backends.iter().filter(|one| one.chosen).count();
        let counts: Vec<String> = row.ports.iter().map(|port| count(port).to_string()).collect();
        row.left_alone.clone().unwrap_or_else(|| counts.join(", "))
    };
    let ports = |row: &view::Service| {
        let port =
            |port: &view::ServicePort| format!("{}/{}", port.frontend.rsplit(':').next().unwrap_or(""), port.protocol);
        let mut ports: Vec<String> = row.ports.iter().map(port).collect();
        ports.dedup();
        ports.join(", ")
    };
    table(
        &["service", "type", "addresses", "ports", "backends", ""],
        rows.iter().map(|row| {
            let wrong = if row.issues.is_empty() { String::new() } else { "SEE ISSUES".to_owned() };
            vec![row.name.clone(), row.kind.clone(), row.addresses.join(", "), ports(row), backends(row), wrong]
        }),
    )
}

pub(super) fn service(rows: &[view::Service]) -> String {
    let one = |row: &view::Service| {
        let affinity = row.affinity.map_or_else(|| "none".to_owned(), |seconds| format!("client, for {seconds} s"));
        let mut lines = vec![
            format!("Service       {} ({})", row.name, row.kind),
            format!("Addresses     {}", or_dash(Some(&row.addresses.join(", ")))),
            format!("Affinity      {affinity}"),
            format!("From inside   {}", row.internal_traffic_policy),
        ];
        lines.extend(row.left_alone.iter().map(|why| format!("Not served    {why}")));
        lines.extend(row.issues.iter().map(|issue| format!("  {issue}")));
        for port in &row.ports {
            let chosen = port.backends.iter().filter(|one| one.chosen).count();
            let meaning = match (port.in_force, chosen) {
                (false, _) => "not in force".to_owned(),
                (true, 0) => "refused".to_owned(),
                (true, count) => format!("{count} of {} backends", port.backends.len()),
            };
            lines.push(format!("{} {} {}: {meaning}", port.frontend, port.protocol, port.name).replace(" :", ":"));
            lines.extend(port.backends.iter().map(|one| {
                let node = one.node.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
                let mark = if one.chosen { "→" } else { " " };
                format!("  {mark} {}{node}, {}", one.backend, one.state)
            }));
        }
        lines.join("\n")
    };
    rows.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

pub(super) fn explained(explained: &view::Explained) -> String {
    let verdict = |allowed| if allowed { "allowed" } else { "denied" };
    let mut lines = vec![format!(
        "{} → {}, {}: {}",
        explained.source,
        explained.destination,
        explained.traffic,
        verdict(explained.allowed)
    )];
    for end in &explained.ends {
        let who = end.pod.clone().unwrap_or_else(|| format!("endpoint {}", end.endpoint));
        let why = match (&end.exempt, end.isolated_by.is_empty(), end.allowed_by.is_empty()) {
            (Some(exempt), _, _) => exempt.clone(),
            (None, true, _) => "no policy isolates it".into(),
            (None, false, true) => format!("isolated by {}, of which no rule allows it", end.isolated_by.join(", ")),
            (None, false, false) => format!("by {}", end.allowed_by.join(", ")),
        };
        lines.push(format!("  {} of {who}: {}; {why}", end.direction, verdict(end.allowed)));
        let rule = end.live_rule.as_ref().map_or_else(String::new, |rule| format!(" by {rule}"));
        let differs = if end.allowed == end.live_allowed { "" } else { "   DIFFERS" };
        lines.push(format!("    live maps: {}{rule}{differs}", verdict(end.live_allowed)));
    }
    lines.join("\n")
}

pub(super) fn checked(checked: &view::Checked) -> String {
    let mut lines: Vec<String> = checked.problems.iter().map(|problem| format!("PROBLEM  {problem}")).collect();
    lines.push(format!("{} objects, {} flows of this node looked at", checked.objects.len(), checked.flows_seen));
    let list = |names: &[String]| if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
    lines.extend(checked.pods.iter().map(|change| {
        let (before, after) = (list(&change.isolated_by.before), list(&change.isolated_by.after));
        format!("  {} of {}: isolated by {before} → {after}", change.direction, change.pod)
    }));
    lines.extend(checked.flows.iter().map(|change| {
        let flow = &change.flow;
        let what =
            if change.allowed.after { format!("would pass, by {}", list(&change.by)) } else { "would be cut".into() };
        format!(
            "  {} {} {} → {} {}: {what}",
            flow.protocol, flow.source, flow.source_port, flow.destination, flow.destination_port
        )
    }));
    if checked.pods.is_empty() && checked.flows.is_empty() {
        lines.push("  nothing would change for them".into());
    }
    lines.join("\n")
}

pub(super) fn flows(rows: &[view::Flow]) -> String {
    let end = |address: &str, port: u16| if port == 0 { address.to_owned() } else { format!("{address} {port}") };
    table(
        &["protocol", "opened by", "towards", "state", "idle", "endpoint", ""],
        rows.iter().map(|row| {
            vec![
                row.protocol.clone(),
                end(&row.source, row.source_port),
                end(&row.destination, row.destination_port),
                row.state.clone(),
                format!("{} s", row.idle),
                row.endpoint.to_string(),
                if row.via_stack { "via stack".into() } else { String::new() },
            ]
        }),
    )
}

pub(super) fn metrics(rows: &[Sample]) -> String {
    table(
        &["program", "outcome", "packets", "bytes", ""],
        rows.iter().map(|row| {
            let outcome = if row.dropped { format!("drop {}", row.outcome) } else { row.outcome.clone() };
            let figures = [row.packets.to_string(), row.bytes.to_string(), row.description.clone()];
            [row.program.clone(), outcome].into_iter().chain(figures).collect()
        }),
    )
}

/// The columns that name an entry come first.
pub(super) fn map(name: &str, rows: &[Map<String, Value>]) -> String {
    let keys: &[&str] = match name {
        "fr_links" => &["ifindex"],
        "fr_sources" => &["index"],
        "fr_nodes" => &["node"],
        "fr_routes" | "fr_cidrs" | "fr_blocks" => &["prefix"],
        "fr_ep_state" | "fr_shares" => &["endpoint"],
        "fr_tables" => &["table"],
        "fr_tenants" => &["tenant"],
        "fr_policy" => &["table", "class", "protocol", "port"],
        "fr_metrics" => &["program", "outcome"],
        _ => &["address"],
    };
    let Some(first) = rows.first() else { return format!("{name} is empty") };
    let others = first.keys().map(String::as_str).filter(|column| !keys.contains(column));
    let columns: Vec<&str> = keys.iter().copied().chain(others).collect();
    let mut cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| columns.iter().map(|column| or_dash(row.get(*column).and_then(Value::as_str))).collect())
        .collect();
    cells.sort();
    table(&columns, cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_not_glued_to_what_follows() {
        let long = Finding::ok("host to pod", "24 ways work");
        let failed = Finding::failure("dns", "", "no answer", "mend it");
        let text = findings(&[long, failed]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(&"ok       host to pod 24 ways work"), "{text}");
        assert!(lines.contains(&"FAILURE  dns         no answer"), "{text}");
        assert!(lines.contains(&"                     → mend it"), "{text}");
        assert!(findings(&[Finding::ok("dns", "fine")]).contains("ok       dns       fine"));
    }
}
