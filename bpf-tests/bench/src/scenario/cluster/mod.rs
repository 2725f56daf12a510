//! A real cluster of two nodes whose network is Ferrule: started, installed and removed here.

mod in_force;
mod install;
mod known;
mod maps;
mod percentiles;
mod sandbox;
mod stand;
mod workload;

use anyhow::Result;
use stand::Stand;
use test_kit::topology::Netns;

use crate::{lab::api::Api, row::Row, settings::Settings};

/// All of it.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    let stand = Stand::find()?;
    let cluster = &stand.cluster;
    let control = &cluster.control;
    let api = Api { netns: Netns::known(&control.fabric.control()), kubeconfig: control.kubeconfig("admin") };
    let mut rows = vec![install::run(cluster)?];
    rows.extend(in_force::run(settings, cluster, &api)?);
    rows.extend(known::run(settings, cluster)?);
    rows.extend(sandbox::run(settings, cluster)?);
    Ok(rows)
}
