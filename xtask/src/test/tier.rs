//! The tiers: what is tested with what.

use std::fmt;

use clap::ValueEnum;

/// A tier of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// Every crate's own tests, and the plugin against a stand-in for the agent
    Unit,
    /// Packets through the loaded programs (BPF_PROG_TEST_RUN)
    Packets,
    /// Nodes and pods as network namespaces, with the real agent and plugin
    Netns,
    /// Many pods, many nodes, many packets
    Load,
    /// Real container runtimes that call the plugin
    Runtimes,
    /// A real Kubernetes cluster whose only network is Ferrule
    Cluster,
    /// Other kernels in virtual machines
    Kernels,
}

/// Some tests of a tier.
#[derive(Debug)]
pub struct Part {
    /// Which, in nextest's words; or the one binary, where they share a process.
    pub filter: &'static str,
    /// Whether they share one process, instead of having one each.
    pub together: bool,
    /// Whether they need root.
    pub privileged: bool,
}

impl Tier {
    /// All tiers, the quickest first.
    pub const ALL: [Self; 7] =
        [Self::Unit, Self::Packets, Self::Netns, Self::Load, Self::Runtimes, Self::Cluster, Self::Kernels];

    /// One line.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Unit => "every crate's own tests, and the plugin against a stand-in for the agent",
            Self::Packets => "packets through the loaded programs",
            Self::Netns => "nodes and pods as network namespaces",
            Self::Load => "many pods, many nodes, many packets",
            Self::Runtimes => "real container runtimes",
            Self::Cluster => "a real Kubernetes cluster",
            Self::Kernels => "other kernels, in virtual machines",
        }
    }

    /// The runs it consists of.
    pub const fn parts(self) -> &'static [Part] {
        match self {
            Self::Unit => &[
                Part {
                    filter: "not (package(bpf-tests) or package(packet-tests) or package(ferrule-cni)) or not kind(test)",
                    together: false,
                    privileged: false,
                },
                Part { filter: "package(ferrule-cni) and kind(test)", together: false, privileged: true },
            ],
            Self::Packets => &[
                Part { filter: "packets", together: true, privileged: true },
                Part { filter: "package(packet-tests) and binary(~fuzz)", together: false, privileged: true },
            ],
            Self::Netns => &[
                Part { filter: "package(bpf-tests) and binary(~netns)", together: false, privileged: true },
                // Alone: what it measures takes whole CPUs.
                Part {
                    filter: "package(bpf-tests) and kind(test) and binary(~bench) and not test(~a_real)",
                    together: false,
                    privileged: true,
                },
            ],
            Self::Load => &[Part { filter: "package(bpf-tests) and binary(~load)", together: false, privileged: true }],
            Self::Runtimes => {
                &[Part { filter: "package(bpf-tests) and binary(~runtimes)", together: false, privileged: true }]
            }
            Self::Cluster => &[
                Part { filter: "package(bpf-tests) and binary(~cluster)", together: false, privileged: true },
                Part {
                    filter: "package(bpf-tests) and kind(test) and binary(~bench) and test(~a_real)",
                    together: false,
                    privileged: true,
                },
            ],
            // Guests run tests without nextest.
            Self::Kernels => &[],
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "unit",
            Self::Packets => "packets",
            Self::Netns => "netns",
            Self::Load => "load",
            Self::Runtimes => "runtimes",
            Self::Cluster => "cluster",
            Self::Kernels => "kernels",
        })
    }
}
