//! The kernel's edges: what the agent reads and writes of programs, maps, devices, routes and sockets. Nothing here knows of
//! configuration, CNI, Kubernetes or controllers.
//!
//! | module | edge |
//! |---|---|
//! | [`bpf`] | the eBPF object, its programs and where they are attached, its maps |
//! | [`net`] | rtnetlink, sock_diag, nftables, sysctls |
//! | [`changes`] | what netlink's multicast groups told since somebody looked last |

pub mod bpf;
pub mod changes;
pub mod net;
