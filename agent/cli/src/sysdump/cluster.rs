//! The cluster's part: objects without what may hold secrets, and every node's part with its agent's log.

use anyhow::{Context, Result};
use ferrule_api::chain::chain;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::LogParams};
use serde_json::{Value, json};

use super::{
    archive::Archive,
    mask::{Mask, OBJECTS},
};
use crate::{
    operator,
    operator::{Agent, CONTAINER},
};

/// Lines of each log.
const LINES: i64 = 20_000;

/// Gathers it; what cannot be gathered is told in it.
pub(super) async fn gather(client: &Client) -> Archive {
    let mut archive = Archive::default();
    let version = client.apiserver_version().await.map_err(|error| chain(&error));
    archive.add("cluster/version.json", version.and_then(|version| pretty(&json!(version))));
    for (name, path, mask) in OBJECTS {
        let listed = list(client, path, mask).await.map_err(|error| format!("{error:#}"));
        archive.add(&format!("cluster/{name}.json"), listed.and_then(|items| pretty(&items)));
    }
    match operator::agents(client).await {
        Ok(agents) if agents.is_empty() => archive.add("nodes", Err("no pods of agents were found".into())),
        Ok(agents) => {
            let parts = futures::future::join_all(agents.iter().map(|agent| part(client, agent))).await;
            for (agent, (tar, logs)) in agents.iter().zip(parts) {
                let folder = format!("nodes/{}", agent.node);
                let unpacked = tar.and_then(|tar| archive.unpack(&folder, &tar).context("its part cannot be read"));
                if let Err(error) = unpacked {
                    archive.add(&folder, Err(format!("{error:#}")));
                }
                for (name, log) in logs {
                    archive.add(&format!("{folder}/{name}"), log);
                }
            }
        }
        Err(error) => archive.add("nodes", Err(format!("{error:#}"))),
    }
    archive
}

type Logs = Vec<(&'static str, Result<String, String>)>;

async fn part(client: &Client, agent: &Agent) -> (Result<Vec<u8>>, Logs) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &agent.namespace);
    let command = ["/usr/bin/ferrule", "sysdump", "--node-only", "--file", "-"];
    let tar = operator::run(&pods, &agent.name, CONTAINER, &command).await;
    let log = async |previous: bool| {
        let container = Some(CONTAINER.to_owned());
        let params =
            LogParams { container, previous, tail_lines: Some(LINES), timestamps: true, ..LogParams::default() };
        pods.logs(&agent.name, &params).await
    };
    let mut logs = vec![("agent.log", log(false).await.map_err(|error| chain(&error)))];
    // Most have no former container.
    logs.extend(log(true).await.ok().map(|text| ("agent.previous.log", Ok(text))));
    (tar, logs)
}

/// Every object of a kind, in pages, without what is not asked for.
async fn list(client: &Client, path: &str, mask: Mask) -> Result<Value> {
    let mut items = Vec::new();
    let mut page = String::new();
    loop {
        let request = http::Request::get(format!("{path}?limit=500{page}")).body(Vec::new())?;
        let mut answer: Value = client.request(request).await?;
        for mut item in answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
            mask.apply(&mut item);
            items.push(item);
        }
        match answer["metadata"]["continue"].as_str() {
            Some(next) if !next.is_empty() => page = format!("&continue={next}"),
            _ => return Ok(items.into()),
        }
    }
}

fn pretty(value: &Value) -> Result<String, String> {
    serde_json::to_string_pretty(value).map_err(|error| error.to_string())
}
