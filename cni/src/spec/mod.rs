//! The CNI specification's types: what comes in by environment and stdin, what goes out on stdout. Nothing here touches
//! the machine.
//!
//! ```text
//! environment ─ env ──► Call          stdin ─ config ──► NetConf ─┬─ capability (runtimeConfig)
//!               └ args (CNI_ARGS)                                 ├─ attachment (GC's list)
//! stdout ◄─ result (AddResult, by version)                        └─ result (prevResult)
//!        ◄─ error (CniError)
//! ```

pub mod args;
pub mod attachment;
pub mod capability;
pub mod config;
pub mod env;
pub mod error;
pub mod fields;
pub mod result;
pub mod version;
