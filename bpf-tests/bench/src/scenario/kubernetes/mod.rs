//! A real API server that holds a big cluster, and an agent that watches it.

mod objects;
mod server;
mod watch;

use anyhow::Result;

use crate::{row::Row, settings::Settings};

/// All of it.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    watch::run(settings)
}
