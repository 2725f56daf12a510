//! Why policies cannot be enforced on an interface of another plugin.

/// Why policies cannot be enforced on another plugin's interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainedError {
    /// It is another kind of interface.
    #[error(
        "prevResult's interface {ifname} in {netns} is of kind {kind:?}, not veth: policies are enforced on the host side \
         of a veth; chain ferrule-cni behind a plugin that makes one, such as bridge or ptp"
    )]
    Kind {
        /// `CNI_IFNAME`.
        ifname: String,
        /// `CNI_NETNS`.
        netns: String,
        /// What the kernel calls it; empty for hardware.
        kind: String,
    },
    /// There is nothing to tell its packets by.
    #[error("prevResult gives its interface {ifname} no address: policies tell pods by their addresses")]
    NoAddress {
        /// `CNI_IFNAME`.
        ifname: String,
    },
    /// The configuration asks for addresses that nobody would have.
    #[error(
        "ipam: prevResult holds {ifname} already, with its addresses; take `ipam` out of ferrule-cni's configuration, or put \
         ferrule-cni first in the chain, in the other plugin's place"
    )]
    Ipam {
        /// `CNI_IFNAME`.
        ifname: String,
    },
    /// It is not where `prevResult` says.
    #[error("prevResult holds the interface {ifname}, and {netns} does not: another plugin of the chain removed it")]
    Missing {
        /// `CNI_IFNAME`.
        ifname: String,
        /// `CNI_NETNS`.
        netns: String,
    },
    /// Its other side is not on the host.
    #[error(
        "the host side of {ifname} in {netns} is not in the network namespace that the plugin runs in: nothing can be \
         enforced on it"
    )]
    Elsewhere {
        /// `CNI_IFNAME`.
        ifname: String,
        /// `CNI_NETNS`.
        netns: String,
    },
    /// The agent took it for an ordinary ADD.
    #[error(
        "the agent is older than this ferrule-cni and cannot enforce policies behind another plugin; install this release's \
         agent"
    )]
    OlderAgent,
}
