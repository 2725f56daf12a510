//! From what a document or the API server says of an object to an object of the model, with every value checked.
//!
//! Each kind has structs of the members that are in use; serde skips the others while it parses.

mod address;
mod budget;
mod error;
mod metadata;
mod node;
mod object;
mod pod;
mod policy;
mod scalar;
mod service;
mod shape;
mod slice;
#[cfg(test)]
mod tests;

use budget::read;
pub use error::FieldError;
use ferrule_model::objects::{Identity, Kind};
use metadata::Names;
pub use node::START_TAINT;
use object::Raw;
pub use object::{MIRROR, Object};
use serde::Deserialize;
use shape::Part;

/// An object with a bad value.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Which one, where that can be told.
    pub identity: Option<Identity>,
    /// The field and what is wrong with it.
    pub error: FieldError,
    /// What stands for it where it was never good, and nothing would open what it may close.
    pub stand_in: Option<Box<Object>>,
}

/// An object, or why there is none.
pub type Decoded = Result<(Identity, Object), Refused>;

/// From JSON, an object of a kind that may take `most` bytes while it is read, and its `metadata.resourceVersion`.
pub fn decode(kind: Kind, json: &str, most: usize) -> (Option<String>, Decoded) {
    match kind {
        Kind::Node => decode_as::<node::RawNode>(kind, json, most),
        Kind::Namespace => decode_as::<node::RawNamespace>(kind, json, most),
        Kind::Pod => decode_as::<pod::RawPod>(kind, json, most),
        Kind::NetworkPolicy => decode_as::<policy::RawPolicy>(kind, json, most),
        Kind::Service => decode_as::<service::RawService>(kind, json, most),
        Kind::EndpointSlice => decode_as::<slice::RawSlice>(kind, json, most),
    }
}

/// What tells the name of an object that cannot be read.
#[derive(Deserialize)]
struct Nameplate {
    metadata: Part<Names>,
}

fn decode_as<R: Raw>(kind: Kind, json: &str, most: usize) -> (Option<String>, Decoded) {
    let mut raw = read::<Part<R>>(json, most);
    let names = match &mut raw {
        Ok(raw) => Ok(raw.0.metadata().names()),
        Err(_) => read::<Part<Nameplate>>(json, most).map(|plate| plate.0.metadata.0),
    };
    let nameless = |error| Err(Refused { identity: None, error, stand_in: None });
    let (version, identity) = match names {
        Ok(names) => names.identity(kind),
        Err(error) => return (None, nameless(error)),
    };
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) => return (version, nameless(error)),
    };
    let decoded = match raw.and_then(|raw| raw.0.object(identity.name.clone())) {
        Ok(object) => Ok((identity, object)),
        Err(error) => {
            // What was too large to be read does not say whom it selects.
            let most = if error.is_of_size() { 0 } else { most };
            let closed = || Box::new(Object::NetworkPolicy(policy::closed(&identity.name, json, most)));
            let stand_in = (kind == Kind::NetworkPolicy).then(closed);
            Err(Refused { identity: Some(identity), error, stand_in })
        }
    };
    (version, decoded)
}
