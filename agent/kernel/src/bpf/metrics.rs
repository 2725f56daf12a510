//! `fr_metrics`, read: what became of packets, summed over CPUs.

use aya::maps::{Map, MapData, MapError, PerCpuArray};
use ferrule_common::{Drop, Outcome, Program, metric, metric::Counter};

use super::{Pins, error::LoadError};

/// One counter that is not zero.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Which program counted.
    pub program: Program,
    /// Whether the packets were dropped.
    pub dropped: bool,
    /// The outcome's or the drop reason's name.
    pub outcome: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// How many, over all CPUs.
    pub counter: Counter,
}

/// The counters, open for reading.
pub struct Metrics {
    counters: PerCpuArray<MapData, Counter>,
}

impl Metrics {
    pub(super) fn new(map: Map) -> Result<Self, LoadError> {
        Self::open(map).map_err(|source| LoadError::Map { name: "fr_metrics".into(), source })
    }

    pub(super) fn open(map: Map) -> Result<Self, MapError> {
        Ok(Self { counters: map.try_into()? })
    }

    /// The pinned counters.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pinned(pins: &Pins) -> Result<Self, MapError> {
        Self::open(Map::PerCpuArray(MapData::from_pin(pins.map("fr_metrics"))?))
    }

    /// One counter's sum over CPUs, by the number of an outcome or a drop reason.
    ///
    /// # Errors
    /// The kernel's.
    pub fn get(&self, program: Program, number: u32) -> Result<Counter, MapError> {
        let values = self.counters.get(&metric::index(program, number), 0)?;
        Ok(values.iter().fold(Counter::default(), |sum, one| Counter {
            packets: sum.packets + one.packets,
            bytes: sum.bytes + one.bytes,
        }))
    }

    /// Every counter that is not zero, in the order of programs and numbers.
    ///
    /// # Errors
    /// The kernel's.
    pub fn samples(&self) -> Result<Vec<Sample>, MapError> {
        let numbers = || {
            let outcomes = Outcome::ALL.iter().map(|o| (false, *o as u32, o.name(), o.describe()));
            outcomes.chain(Drop::ALL.iter().map(|d| (true, *d as u32, d.name(), d.describe())))
        };
        let mut samples = Vec::new();
        for program in Program::ALL {
            for (dropped, number, outcome, description) in numbers() {
                let counter = self.get(program, number)?;
                if counter.packets != 0 {
                    samples.push(Sample { program, dropped, outcome, description: description.trim(), counter });
                }
            }
        }
        Ok(samples)
    }
}
