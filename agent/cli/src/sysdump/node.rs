//! One node's part: what its agent says, what its kernel has, and its configuration.

use std::{
    fmt::{Debug, Write},
    fs,
    path::Path,
    time::Duration,
};

use ferrule_agent::{
    config::{Config, Options},
    install::conflist,
    preflight,
};
use ferrule_api::{chain::chain, client::Agent, view};
use ferrule_kernel::net;
use futures::TryStreamExt;
use netlink_packet_route::route::RouteMessage;
use serde_json::Value;

use super::archive::Archive;

const LIMIT: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);

const ANSWERS: [(&str, &str); 11] = [
    ("status.json", view::STATUS),
    ("endpoints.json", view::ENDPOINTS),
    ("pods.json", view::PODS),
    ("nodes.json", view::NODES),
    ("ips.json", view::IPS),
    ("metrics.json", view::METRICS),
    ("policies.json", view::POLICIES),
    ("services.json", view::SERVICES),
    ("conntrack.json", view::CONNTRACK),
    ("cni-status.json", ferrule_api::plugin::STATUS),
    ("doctor.json", view::DOCTOR),
];

const MAPS: [&str; 20] = [
    "fr_endpoints",
    "fr_links",
    "fr_sources",
    "fr_peers",
    "fr_nodes",
    "fr_routes",
    "fr_cidrs",
    "fr_ep_state",
    "fr_tables",
    "fr_policy",
    "fr_classes",
    "fr_blocks",
    "fr_shares",
    "fr_tenants",
    "fr_quota",
    "fr_services",
    "fr_backends",
    "fr_svc_members",
    "fr_affinity",
    "fr_svc_owners",
];

/// Gathers it; what cannot be gathered is told in it.
pub(super) async fn gather(agent: &Agent, config: &Path) -> Archive {
    let mut archive = Archive::default();
    archive.text("version.txt", &version());
    for (file, path) in ANSWERS {
        let limit = if path == view::DOCTOR { PATIENCE } else { LIMIT };
        archive.add(file, answer(agent, path, limit));
    }
    for map in MAPS {
        archive.add(&format!("maps/{map}.json"), answer(agent, &view::map(map), LIMIT));
    }
    let text = fs::read_to_string(config).map_err(|error| format!("{}: {error}", config.display()));
    archive.add("agent.toml", text);
    match read(config) {
        Ok(config) => {
            archive.add("cni-config.txt", conflists(&config));
            net::sysctl::at(&config.sysctl_root);
            let checks = tokio::task::spawn_blocking(move || preflight::run(&config, preflight::Depth::Whole)).await;
            let shown = checks.map_err(|error| error.to_string()).and_then(|checks| pretty(&checks));
            archive.add("preflight.json", shown);
        }
        Err(why) => archive.add("preflight.json", Err(why)),
    }
    archive.add("links.txt", links().await);
    archive.add("routes.txt", routes().await);
    archive
}

fn version() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    format!("ferrule {}\n{}uptime {}", env!("CARGO_PKG_VERSION"), read("/proc/version"), read("/proc/uptime"))
}

fn answer(agent: &Agent, path: &str, limit: Duration) -> Result<String, String> {
    let value: Value = agent.get(path, limit).map_err(|error| chain(&error))?;
    pretty(&value)
}

fn pretty(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(value).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<Config, String> {
    let options = if path.exists() { Options::read(path) } else { Ok(Options::default()) };
    options.and_then(Options::check).map_err(|error| chain(&error))
}

/// The folder's names, and what is ours: others' files may hold what they need to ask the API server.
fn conflists(config: &Config) -> Result<String, String> {
    let folder = config.cni_conf_dir.as_ref().ok_or("cni-conf-dir: none is set")?;
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let own = fs::read_to_string(folder.join(conflist::NAME)).unwrap_or_else(|error| error.to_string());
    Ok(format!("{}\n\n{}:\n{own}", names.join("\n"), conflist::NAME))
}

async fn links() -> Result<String, String> {
    let handle = net::connect().map_err(|error| error.to_string())?;
    let links: Vec<_> = handle.link().get().execute().try_collect().await.map_err(|error| error.to_string())?;
    Ok(lines(&links))
}

async fn routes() -> Result<String, String> {
    let handle = net::connect().map_err(|error| error.to_string())?;
    let mut all: Vec<RouteMessage> = Vec::new();
    for builder in [
        rtnetlink::RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
        rtnetlink::RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
    ] {
        let routes: Vec<_> =
            handle.route().get(builder).execute().try_collect().await.map_err(|error| error.to_string())?;
        all.extend(routes);
    }
    Ok(lines(&all))
}

fn lines<T: Debug>(items: &[T]) -> String {
    items.iter().fold(String::new(), |mut text, item| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{item:?}");
        text
    })
}
