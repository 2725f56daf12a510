//! The files of a dump, and the tar that they become. Whatever text goes in, what looks like a credential does not.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

/// The folder that everything lies in.
const FOLDER: &str = "ferrule-sysdump";
const LEFT_OUT: &str = "[left out]";

/// Files by their path, and what could not be gathered.
#[derive(Debug, Default)]
pub(super) struct Archive {
    files: BTreeMap<String, Vec<u8>>,
    problems: Vec<String>,
}

impl Archive {
    /// Adds text.
    pub fn text(&mut self, path: &str, text: &str) {
        self.files.insert(path.to_owned(), without_credentials(text).into_bytes());
    }

    /// Adds what was gathered, or why it was not.
    pub fn add(&mut self, path: &str, gathered: Result<String, String>) {
        match gathered {
            Ok(text) => self.text(path, &text),
            Err(why) => self.problems.push(format!("{path}: {why}")),
        }
    }

    /// Adds what another one's tar holds, below a folder.
    ///
    /// # Errors
    /// Where it is not a tar.
    pub fn unpack(&mut self, folder: &str, tar: &[u8]) -> io::Result<()> {
        for entry in tar::Archive::new(tar).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().into_owned();
            let path = path.strip_prefix(&format!("{FOLDER}/")).unwrap_or(&path).to_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            if path == PROBLEMS {
                self.problems.extend(text.lines().map(|line| format!("{folder}/{line}")));
            } else {
                self.text(&format!("{folder}/{path}"), &text);
            }
        }
        Ok(())
    }

    /// How many files there are, and what could not be gathered.
    pub fn summary(&self) -> (usize, &[String]) {
        (self.files.len(), &self.problems)
    }

    /// Writes it as a tar; `now` in seconds since 1970.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&self, to: impl Write, now: u64) -> io::Result<()> {
        let mut tar = tar::Builder::new(to);
        let problems = self.problems.join("\n") + "\n";
        let told = (!self.problems.is_empty()).then_some((PROBLEMS, problems.as_bytes()));
        let files = self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        for (path, bytes) in files.chain(told) {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(now);
            tar.append_data(&mut header, format!("{FOLDER}/{path}"), bytes)?;
        }
        tar.into_inner()?.flush()
    }
}

/// What could not be gathered.
const PROBLEMS: &str = "problems.txt";

/// The text without tokens (JWTs), keys and certificates (PEM), and user names and passwords of URLs.
fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        if line.contains("-----BEGIN ") {
            inside = true;
            out.push_str(LEFT_OUT);
            out.push('\n');
        }
        if !inside {
            out.push_str(&without_userinfo(&without_tokens(line)));
        }
        if line.contains("-----END ") {
            inside = false;
        }
    }
    out
}

/// A JWT is three parts of base64url with dots between, of which the first begins an object.
fn without_tokens(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("eyJ") {
        let (before, from) = rest.split_at(at);
        let end =
            from.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')).unwrap_or(from.len());
        out.push_str(before);
        out.push_str(if from[..end].contains('.') { LEFT_OUT } else { &from[..end] });
        rest = &from[end..];
    }
    out + rest
}

fn without_userinfo(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | ',')).unwrap_or(after.len());
        out.push_str(before);
        let authority = match after[..end].rsplit_once('@') {
            Some((_, host)) => format!("{LEFT_OUT}@{host}"),
            None => after[..end].to_owned(),
        };
        out.push_str(&authority);
        rest = &after[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_left_out_of_any_text() {
        let text = "a\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\nb token=eyJhbGci.eyJpc3Mi.c2ln; c\n\
                    url = \"https://admin:pass@10.0.0.1:6443/x\" eyJust\n";
        let expected = "a\n[left out]\nb token=[left out]; c\nurl = \"https://[left out]@10.0.0.1:6443/x\" eyJust\n";
        assert_eq!(without_credentials(text), expected);
        assert_eq!(without_credentials("https://10.0.0.1:6443"), "https://10.0.0.1:6443");
    }

    #[test]
    fn one_archive_goes_into_another() {
        let mut node = Archive::default();
        node.text("status.json", "{}");
        node.add("doctor.json", Err("the agent is away".into()));
        let mut tar = Vec::new();
        node.write(&mut tar, 7).unwrap();
        let mut all = Archive::default();
        all.unpack("nodes/n1", &tar).unwrap();
        assert_eq!(all.files.keys().collect::<Vec<_>>(), ["nodes/n1/status.json"]);
        assert_eq!(all.problems, ["nodes/n1/doctor.json: the agent is away"]);
        assert!(
            all.unpack("x", b"no tar, but long enough to be looked at as if it was one").is_err()
                || all.summary().0 == 1
        );
    }
}
