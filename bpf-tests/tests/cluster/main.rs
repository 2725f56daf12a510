//! Ferrule as the only network of a real cluster. `cargo xtask test cluster` starts one, installs Ferrule from its manifest,
//! and runs these one after the other: each has a namespace of its own.

mod add;
mod bad;
mod beside;
mod churn;
mod installed;
mod lasting;
mod machines;
mod network;
mod own_node;
mod pods;
mod policy;
mod relist;
mod rights;
mod rolls;
mod seen;
mod server;
mod service_kinds;
mod services;
mod support;
mod uninstall;
