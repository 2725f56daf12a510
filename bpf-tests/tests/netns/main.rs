//! Networks of namespaces with the real agent and plugin: what a user of a cluster relies on.

mod agent_dies;
mod attach;
mod bandwidth;
mod check;
mod cleanup;
mod healing;
mod hostile;
mod localhost;
mod many;
mod neighbours;
mod offload;
mod outside;
mod path_mtu;
mod preflight;
mod reach;
mod size;
mod support;
mod unowned;
