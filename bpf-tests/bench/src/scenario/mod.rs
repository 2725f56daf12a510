//! What is measured, one file each.

mod cluster;
mod cni;
mod kubernetes;
mod memory;
mod policy;
mod programs;
mod runs;
mod scale;
mod traffic;

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;

use crate::{row::Row, settings::Settings};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Load between pods of one node
    SameNode,
    /// Load between pods of two nodes
    CrossNode,
    /// Load through a Service's address
    Services,
    /// Adding and deleting pods
    Cni,
    /// What each eBPF program costs
    Programs,
    /// An agent's memory, its maps' memory, binaries
    Memory,
    /// An agent that is told of many nodes and pods
    Scale,
    /// Many policies in a big cluster: how soon a change is in force, and what it costs meanwhile
    Policy,
    /// An agent that watches a real API server which holds a big cluster
    Kubernetes,
    /// A real cluster of two nodes
    Cluster,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SameNode,
        Self::CrossNode,
        Self::Services,
        Self::Cni,
        Self::Programs,
        Self::Memory,
        Self::Scale,
        Self::Policy,
        Self::Kubernetes,
        Self::Cluster,
    ];

    /// One line.
    pub const fn about(self) -> &'static str {
        match self {
            Self::SameNode => "load between pods of one node",
            Self::CrossNode => "load between pods of two nodes",
            Self::Services => "load through a Service's address",
            Self::Cni => "adding and deleting pods, one after another and at once",
            Self::Programs => "what each eBPF program costs",
            Self::Memory => "an agent's memory, its maps' memory, sizes of files",
            Self::Scale => "an agent that is told of many nodes and pods",
            Self::Policy => "many policies in a big cluster that is hard to enforce",
            Self::Kubernetes => "an agent that watches a real API server which holds a big cluster",
            Self::Cluster => "a real cluster of two nodes",
        }
    }

    /// Measures.
    ///
    /// # Errors
    /// Where something cannot be set up, or what should answer does not.
    pub fn run(self, settings: &Settings) -> Result<Vec<Row>> {
        match self {
            Self::SameNode => traffic::same_node(settings),
            Self::CrossNode => traffic::cross_node(settings),
            Self::Services => traffic::services(settings),
            Self::Cni => cni::run(settings),
            Self::Programs => Ok([programs::run(settings)?, runs::run(settings)?].concat()),
            Self::Memory => memory::run(),
            Self::Scale => scale::run(settings),
            Self::Policy => policy::run(settings),
            Self::Kubernetes => kubernetes::run(settings),
            Self::Cluster => cluster::run(settings),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SameNode => "same-node",
            Self::CrossNode => "cross-node",
            Self::Services => "services",
            Self::Cni => "cni",
            Self::Programs => "programs",
            Self::Memory => "memory",
            Self::Scale => "scale",
            Self::Policy => "policy",
            Self::Kubernetes => "kubernetes",
            Self::Cluster => "cluster",
        })
    }
}
