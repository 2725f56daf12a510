//! Builds what guests run, and finds it: binaries by their names, test binaries by their targets'.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{arch::Arch, build, step::step_reading, workspace::Workspace};

/// Built files, by name.
#[derive(Debug)]
pub struct Binaries(BTreeMap<String, PathBuf>);

impl Binaries {
    /// For this machine what every tier runs; for another one static binaries.
    ///
    /// # Errors
    /// Where something does not compile.
    pub fn build(workspace: &Workspace, arch: Arch) -> Result<Self> {
        let mut cargo = workspace.cargo();
        cargo.args(["build", "--message-format", "json-render-diagnostics"]);
        if arch == Arch::host() {
            cargo.args(["--bins", "--tests"]);
        } else {
            // Without the agent, which takes ten times as long to compile.
            cargo.args(["--package", "packet-tests", "--package", "test-kit", "--test", "packets", "--bin", "guest"]);
            build::target(workspace, &mut cargo, arch);
        }
        let mut found = BTreeMap::new();
        step_reading(&format!("build what guests run ({})", arch.debian()), &mut cargo, |line| {
            found.extend(executable(line));
            line.starts_with('{')
        })?;
        Ok(Self(found))
    }

    /// The file of this name.
    ///
    /// # Errors
    /// Where none was built.
    pub fn get(&self, name: &str) -> Result<&PathBuf> {
        self.0.get(name).with_context(|| format!("cargo built no {name}"))
    }
}

/// The name and the file of an executable that one of cargo's messages tells of; unit tests have their crate's name,
/// and are left out.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let file = message["executable"].as_str()?;
    let target = &message["target"];
    let kind = target["kind"][0].as_str()?;
    let is_test = message["profile"]["test"].as_bool()?;
    (is_test == (kind == "test")).then(|| (target["name"].as_str().unwrap_or_default().to_owned(), file.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_told_from_unit_tests() {
        let message = |kind: &str, test: bool| {
            format!(r#"{{"target":{{"kind":["{kind}"],"name":"x"}},"profile":{{"test":{test}}},"executable":"/t/x"}}"#)
        };
        let found = Some(("x".to_owned(), PathBuf::from("/t/x")));
        assert_eq!(executable(&message("bin", false)), found);
        assert_eq!(executable(&message("test", true)), found);
        assert_eq!(executable(&message("bin", true)), None);
        assert_eq!(executable(&message("lib", true)), None);
        assert_eq!(executable("   Compiling x"), None);
    }
}
