//! Where Kubernetes objects come from. A source decodes objects into [`ferrule_model::objects`] and hands whole
//! snapshots to the [`crate::store`]; it never sees maps or their errors.

pub mod announce;
pub mod decode;
pub mod files;
pub mod folder;
mod gather;
pub mod issue;
pub mod kubernetes;
pub mod manifest;
mod note;
mod reading;
mod stands;
pub mod store;
pub mod timestamp;

pub use note::{Level, Note};
