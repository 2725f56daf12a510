//! Parsers of what operators write meet inputs that nobody wrote: `cargo xtask fuzz manifests` goes on for longer.

mod manifests;
