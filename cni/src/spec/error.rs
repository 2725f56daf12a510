//! The error object that goes to stdout.

use serde::{Deserialize, Serialize};

use super::version::Version;

/// Codes of the CNI specification ("Error") and of its reference library. Ours are in [`ferrule_api::plugin::code`].
pub mod code {
    /// The plugin does not speak the configuration's version.
    pub const INCOMPATIBLE_VERSION: u32 = 1;
    /// The configuration has a field that is not supported.
    pub const UNSUPPORTED_FIELD: u32 = 2;
    /// The container is unknown or does not exist.
    pub const UNKNOWN_CONTAINER: u32 = 3;
    /// A variable of the environment is missing or wrong.
    pub const ENVIRONMENT: u32 = 4;
    /// Reading or writing failed.
    pub const IO: u32 = 5;
    /// Content could not be decoded.
    pub const DECODING: u32 = 6;
    /// The network configuration is invalid.
    pub const INVALID_CONFIG: u32 = 7;
    /// The network namespace is none, or is our own.
    pub const INVALID_NETNS: u32 = 8;
    /// Try again later.
    pub const TRY_AGAIN: u32 = 11;
    /// STATUS: ADD cannot be served.
    pub const NOT_AVAILABLE: u32 = 50;
    /// STATUS: ADD cannot be served, and existing containers may have lost connectivity.
    pub const LIMITED_CONNECTIVITY: u32 = 51;
}

/// The error object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CniError {
    /// The version that the call was made in.
    #[serde(rename = "cniVersion", default)]
    pub cni_version: String,
    /// What kind of error; see [`code`].
    pub code: u32,
    /// What is wrong, where, and what to do.
    #[serde(default)]
    pub msg: String,
    /// The chain of causes.
    #[serde(default)]
    pub details: String,
}

impl CniError {
    /// An error's object: its own sentence as the message, its sources as the details.
    #[must_use]
    pub fn new(version: Version, code: u32, error: &dyn std::error::Error) -> Self {
        let details = std::iter::successors(error.source(), |cause| cause.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ");
        Self { cni_version: version.as_str().to_owned(), code, msg: error.to_string(), details }
    }
}
