//! The engine against a naive reading of the same objects, on maps that are kept as the steps say.

mod cluster;
mod maps;
mod order;
mod properties;
mod semantics;
mod shares;
