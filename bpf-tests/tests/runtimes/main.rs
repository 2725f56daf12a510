//! Real container runtimes call the real plugin, on two machines that are namespaces of this one.
//!
//! ```text
//! test ─ CRI ─► containerd ─► runc                      the machine n1: its own mounts, network, processes, names
//!                   └ execs ─► ferrule-cni ─► ferrule-agent run ─► programs, maps (a BPF file system of its own)
//!                              eth0 ─ bridge "underlay" ─ eth0 of n2, the same again
//! ```
//!
//! Every test has two machines of its own and takes them down, so that tests run in parallel and harm each other in
//! nothing. They need root and Debian's containerd, runc, containernetworking-plugins, iptables, podman and gcc; where
//! something is missing they fail and say what. Images are made on the spot; nothing is fetched.

mod addresses;
mod agent_away;
mod containerd_away;
mod ctr;
mod host_port;
mod lifecycle;
mod paths;
mod podman;
mod support;
