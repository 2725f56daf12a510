//! The plugin's log: one JSON line a call. It never fails a call: what cannot be written is lost.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use serde_json::Value;

/// One call.
#[derive(Debug, Clone, Serialize)]
pub struct Entry<'a> {
    /// When it ended, RFC 3339 in UTC.
    pub time: String,
    /// `CNI_COMMAND`.
    pub command: &'a str,
    /// `CNI_CONTAINERID`, as it came.
    pub container_id: String,
    /// `CNI_IFNAME`, as it came.
    pub ifname: String,
    /// What stdout got, where it was a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'a Value>,
    /// What stdout got, where it was an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a Value>,
    /// What went wrong and did not fail the call.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub notes: &'a [String],
    /// How long it took, in milliseconds.
    pub milliseconds: f64,
}

/// When, for [`Entry::time`].
#[must_use]
pub fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// How long, for [`Entry::milliseconds`], to the microsecond.
#[must_use]
pub fn milliseconds(elapsed: Duration) -> f64 {
    f64::from(u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX)) / 1000.0
}

/// Appends a line, in one write, so that calls at the same time do not mix. Makes the log's folder, where only that is
/// missing.
pub fn append(path: &Path, entry: &Entry<'_>) {
    let Ok(mut line) = serde_json::to_vec(entry) else { return };
    line.push(b'\n');
    let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let file = match open() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            DirBuilder::new().mode(0o700).create(folder).and_then(|()| open())
        }
        other => other,
    };
    if let Ok(mut file) = file {
        let _ = file.write_all(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_one_line_and_a_log_that_cannot_be_opened_is_no_fault() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("cni.log");
        let notes = ["agent away".to_owned()];
        let entry = Entry {
            time: timestamp(SystemTime::UNIX_EPOCH),
            command: "DEL",
            container_id: "c".into(),
            ifname: "eth0".into(),
            result: None,
            error: None,
            notes: &notes,
            milliseconds: milliseconds(Duration::from_micros(1234)),
        };
        append(&path, &entry);
        append(&path, &entry);
        append(&base.path().join("none/of/these/cni.log"), &entry);
        let made = base.path().join("made/cni.log");
        append(&made, &entry);
        let expected = concat!(
            r#"{"time":"1970-01-01T00:00:00.000Z","command":"DEL","container_id":"c","ifname":"eth0","#,
            r#""notes":["agent away"],"milliseconds":1.234}"#,
            "\n"
        );
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected.repeat(2));
        assert_eq!(std::fs::read_to_string(made).unwrap(), expected);
        assert!(!base.path().join("none").exists());
    }
}
