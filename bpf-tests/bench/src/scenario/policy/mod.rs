//! What NetworkPolicy costs in a big cluster that is hard to enforce (`ferrule_model::testing::hard`).

mod churn;
mod cluster;
mod growth;
mod in_force;
pub mod manifest;
mod memory;

use anyhow::Result;

use crate::{row::Row, settings::Settings};

/// All of it.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    Ok([in_force::run(settings)?, growth::run(settings)?, churn::run(settings)?, memory::run(settings)?].concat())
}
