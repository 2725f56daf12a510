//! VERSION: what the plugin speaks. It needs no valid configuration.

use serde_json::{Value, json};

use crate::spec::{
    fields::Fields,
    version::{MISSING, Version},
};

/// The answer to what stands on stdin: `cniVersion` is the question's; where there is none, the newest.
#[must_use]
pub fn answer(stdin: &[u8]) -> Value {
    let asked = match serde_json::from_slice(stdin).map(|value| Fields::new("", value)) {
        Ok(Ok(mut fields)) => fields.string("cniVersion").ok().flatten().unwrap_or_else(|| MISSING.to_owned()),
        _ => Version::LATEST.as_str().to_owned(),
    };
    json!({"cniVersion": asked, "supportedVersions": Version::ALL.map(Version::as_str)})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stdin: &str, expected: &str) {
        let answer = answer(stdin.as_bytes());
        assert_eq!(answer["cniVersion"], expected, "{stdin}");
        assert_eq!(answer["supportedVersions"], json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]));
    }

    #[test]
    fn the_questions_version_is_echoed_whether_spoken_or_not() {
        check(r#"{"cniVersion":"0.4.0"}"#, "0.4.0");
        check(r#"{"cniVersion":"9.9.9","name":7}"#, "9.9.9");
        check("{}", "0.1.0");
        check("", "1.1.0");
        check("garbage", "1.1.0");
    }
}
