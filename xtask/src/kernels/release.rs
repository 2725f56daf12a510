//! Which kernels are tested.

use crate::arch::Arch;

/// A suite of Debian's, whose newest kernel is tested.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// What results are reported under, and what `cargo xtask test kernels -- LABEL` picks.
    pub label: &'static str,
    /// The suite.
    pub suite: &'static str,
    /// What the kernel's version begins with; empty for whatever is newest.
    pub version: &'static str,
    /// For which architecture.
    pub arch: Arch,
    /// Tests that cannot run on it.
    pub exceptions: &'static [Exception],
}

/// Tests that a kernel gives no way to run.
#[derive(Debug)]
pub struct Exception {
    /// The test binary.
    pub binary: &'static str,
    /// A part of the tests' names.
    pub part: &'static str,
    /// Why, and what is tested instead.
    pub why: &'static str,
}

const NO_TUNNEL_SOURCE: Exception = Exception {
    binary: "packets",
    part: "from_overlay::",
    why: "before Linux 6.0 no program can set a tunnel's outer source, so that a test run has none; \
          netns::reach and netns::hostile send real packets through the tunnel",
};

const NO_DECAPSULATION: Exception = Exception {
    binary: "packets",
    part: "decap::an_ipv6_packet",
    why: "before Linux 6.3 no program can take an IPv6 packet out of IPv4; netns::reach has the device do it",
};

const BY_DEVICE: Exception = Exception {
    binary: "netns",
    part: "",
    why: "before Linux 5.12 the device encapsulates, as everywhere until then; netns::encapsulation::pods_packets sees that \
          it does",
};

const OLDEST: [Exception; 43] = [
    NO_TUNNEL_SOURCE,
    NO_DECAPSULATION,
    no_encapsulation("encap::a_flow"),
    no_encapsulation("encap::a_program"),
    no_encapsulation("encap::explicit"),
    no_encapsulation("encap::fragments"),
    no_encapsulation("encap::outer_headers"),
    no_encapsulation("encap::the_inner_packet"),
    no_encapsulation("encap::what_a_program"),
    no_encapsulation("encap::what_needs"),
    Exception { part: "encapsulation::segments", ..BY_DEVICE },
    Exception { part: "encapsulation::datagrams", ..BY_DEVICE },
    Exception { part: "encapsulation::what_a_host", ..BY_DEVICE },
    Exception { part: "errors::what_comes_through_the_tunnel", ..NO_TUNNEL_SOURCE },
    Exception { part: "encap::what_the_kernel", ..NO_TUNNEL_SOURCE },
    no_incoming_device("chained::"),
    no_incoming_device("carried::what_was_dnated_to_a_pod"),
    no_incoming_device("carried::what_was_dnated_to_another_node_under"),
    no_incoming_device("carried::what_answers_the_node"),
    no_incoming_device("carried::what_comes_back"),
    no_incoming_device("flows::errors_about"),
    no_incoming_device("flows::what_the_own_node"),
    no_incoming_device("arrival::a_local_pods"),
    no_incoming_device("arrival::another_nodes_pod"),
    no_incoming_device("arrival::an_unused_address"),
    no_incoming_device("arrival::nobodys_address"),
    no_incoming_device("arrival::the_nodes_own"),
    no_incoming_device("arrival::a_pod_behind"),
    no_incoming_device("arrival::only_the_tunnel"),
    no_incoming_device("arrival::what_leaves_by"),
    no_incoming_device("arrival::no_pod_speaks"),
    no_incoming_device("arrival::another_device_carries"),
    no_incoming_device("arrival::the_tunnels_port"),
    no_incoming_device("errors::a_pod_is_told"),
    no_incoming_device("errors::no_extension_header"),
    no_incoming_device("errors::what_is_said_of_the_tunnel"),
    no_incoming_device("errors::what_is_said_of_the_way"),
    no_incoming_device("shares::only_its_openers"),
    no_incoming_device("shares::forged_beginnings"),
    no_incoming_device("shares::a_reserve_is"),
    no_incoming_device("shares::what_goes_is"),
    no_incoming_device("shares::what_others_begin"),
    no_incoming_device("shares::what_comes_back"),
];

const fn no_incoming_device(part: &'static str) -> Exception {
    Exception {
        binary: "packets",
        part,
        why: "before Linux 5.15 a test run cannot say by which device a packet came in; netns::policy::own_node and \
              netns::policy::live send real ones",
    }
}

const fn no_encapsulation(part: &'static str) -> Exception {
    Exception {
        binary: "packets",
        part,
        why: "before Linux 5.12 no program can make room for the tunnel's headers; netns::reach has the device do it",
    }
}

/// Label, suite, version and exceptions of each.
const RELEASES: [(&str, &str, &str, &[Exception]); 4] = [
    ("5.10", "bullseye", "5.10.", &OLDEST),
    ("6.1", "bookworm", "6.1.", &[NO_DECAPSULATION]),
    ("6.12", "trixie", "6.12.", &[]),
    ("newest", "sid", "", &[]),
];

/// The guest with the other architecture: programs and packets only, since everything is emulated.
const OTHER: Release =
    Release { label: "arm64", suite: "trixie", version: "6.12.", arch: Arch::Arm64, exceptions: &[] };

impl Release {
    /// All, the oldest first.
    pub fn all() -> Vec<Self> {
        let own = RELEASES.map(|(label, suite, version, exceptions)| Self {
            label,
            suite,
            version,
            arch: Arch::host(),
            exceptions,
        });
        own.into_iter().chain((Arch::host() != OTHER.arch).then_some(OTHER)).collect()
    }
}

/// The label of the oldest, which differs most from the kernels that developers have.
pub fn oldest() -> String {
    RELEASES[0].0.to_owned()
}

/// Whether a kernel has this label.
pub fn is_label(word: &str) -> bool {
    Release::all().iter().any(|release| release.label == word)
}
