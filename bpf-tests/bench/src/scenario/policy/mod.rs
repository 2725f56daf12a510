//! What NetworkPolicy costs in a big cluster that is hard to enforce (`ferrule_model::testing::hard`).

mod churn;
mod growth;
mod in_force;
pub mod manifest;
mod memory;

use anyhow::Result;
use ferrule_model::testing::hard::Hard;

use crate::{row::Row, settings::Settings};

/// All of it.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    Ok([in_force::run(settings)?, growth::run(settings)?, churn::run(settings)?, memory::run(settings)?].concat())
}

/// 30,000 pods, 1,000 policies that select this node's 110 pods, 9,000 that select others'.
fn cluster(settings: &Settings) -> Hard {
    if settings.quick {
        return Hard { pods: 2_000, endpoints: 5, policies_here: 50, policies_elsewhere: 50 };
    }
    Hard::default()
}
