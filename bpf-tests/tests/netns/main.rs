//! Networks of namespaces with the real agent and plugin: what a user of a cluster relies on.

mod agent_dies;
mod attach;
mod bandwidth;
mod check;
mod cleanup;
mod enforce;
mod healing;
mod held;
mod hostile;
mod lasting;
mod localhost;
mod many;
mod neighbours;
mod offload;
mod outside;
mod path_mtu;
mod policy;
mod preflight;
mod reach;
mod reboot;
mod service;
mod settings;
mod size;
mod support;
mod takeover;
mod unowned;
