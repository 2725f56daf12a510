//! What is logged.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::ConfigError;

/// The filter that a setting means. A word alone has to be a level: as a target's name, which it could be, too, it would silence
/// everything else.
///
/// # Errors
/// Where it is neither a level nor made of tracing's directives.
pub fn log_filter(text: &str) -> Result<EnvFilter, ConfigError> {
    let bad = |problem: String| ConfigError::Value { key: "log-level", problem };
    let words = text.split(',').map(str::trim);
    let bare = |word: &&str| !word.contains(['=', '[']);
    let unknown = words.filter(bare).find(|word| word.is_empty() || word.parse::<LevelFilter>().is_err());
    if let Some(word) = unknown {
        return Err(bad(format!("{word:?} is no level; use error, warn, info, debug or trace")));
    }
    let refused =
        |error| bad(format!("{error}; use error, warn, info, debug or trace, or directives such as info,kube=warn"));
    EnvFilter::try_new(text).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_filters() {
        for text in ["info", "WARN", "off", "info,kube=warn", "ferrule_agent::net=trace, error"] {
            log_filter(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_told() {
        for (text, part) in [
            ("nonsense", "log-level: \"nonsense\" is no level"),
            ("info,kube", "\"kube\" is no level"),
            ("", "\"\" is no level"),
            ("x=y=z", "log-level:"),
            ("kube=loud", "log-level:"),
        ] {
            let error = log_filter(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
