//! What is wrong with a setting.

use std::path::PathBuf;

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{path}: cannot be read; give another file with --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not what it should be; the parser names line and key.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, key and what is wrong.
        message: String,
    },
    /// A value is out of bounds.
    #[error("{key}: {problem}")]
    Value {
        /// The setting's name, as flag and as key of the file.
        key: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}
