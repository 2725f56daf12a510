//! Paths among the settings.

use std::path::Path;

use super::ConfigError;

/// Refuses a path that depends on where the agent was started.
pub(super) fn absolute(key: &'static str, path: &Path) -> Result<(), ConfigError> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(ConfigError::Value { key, problem: format!("{path:?} is not an absolute path") })
}
