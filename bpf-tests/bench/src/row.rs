//! One figure.

use serde::Serialize;

use crate::{statistics::Estimate, target::Target};

/// One figure, as the JSON has it.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Where it was measured.
    pub scenario: &'static str,
    /// What was measured.
    pub metric: String,
    /// On whom.
    pub subject: String,
    /// What the ratio is to.
    pub baseline: Option<&'static str>,
    /// The median of the rounds' ratios to the baseline.
    pub ratio: Option<f64>,
    /// The ratio's 95 % interval.
    pub ratio_interval: Option<[f64; 2]>,
    /// The median of the rounds' values.
    pub value: f64,
    /// The value's 95 % interval, where it was measured more than once.
    pub value_interval: Option<[f64; 2]>,
    /// The value's.
    pub unit: &'static str,
    /// What it should be.
    pub target: Option<Target>,
    /// Whether it is.
    pub met: Option<bool>,
}

impl Row {
    /// A value that was measured once.
    pub fn once(scenario: &'static str, metric: &str, subject: &str, value: f64, unit: &'static str) -> Self {
        Self {
            scenario,
            metric: metric.into(),
            subject: subject.into(),
            baseline: None,
            ratio: None,
            ratio_interval: None,
            value,
            value_interval: None,
            unit,
            target: None,
            met: None,
        }
    }

    /// A value that was measured in every round.
    pub fn rounds(scenario: &'static str, metric: &str, subject: &str, value: Estimate, unit: &'static str) -> Self {
        Self { value_interval: Some(value.interval()), ..Self::once(scenario, metric, subject, value.median, unit) }
    }

    /// With the ratio to a baseline.
    pub fn beside(self, baseline: &'static str, ratio: Estimate) -> Self {
        Self { baseline: Some(baseline), ratio: Some(ratio.median), ratio_interval: Some(ratio.interval()), ..self }
    }
}
