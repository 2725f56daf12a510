//! The cluster that is hard to enforce.

use ferrule_model::testing::hard::Hard;

use crate::settings::Settings;

/// 30,000 pods, 1,000 policies that select this node's 110 pods, 9,000 that select others'.
pub(super) fn cluster(settings: &Settings) -> Hard {
    if settings.quick {
        return Hard { pods: 2_000, endpoints: 5, policies_here: 50, policies_elsewhere: 50 };
    }
    Hard::default()
}
