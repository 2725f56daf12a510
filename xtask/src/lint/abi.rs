//! The map ABI changes only with its version.
//!
//! The kernel reuses a pinned map whatever its fields mean, so the agent tells layouts apart by their version alone.
//! `common/abi.lock` holds the layout that the version stands for.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use ferrule_common::layout::VERSION;

use super::{btf::Types, layout};
use crate::workspace::Workspace;

/// A version and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Abi {
    version: u32,
    lines: Vec<String>,
}

/// What a comparison ends with.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// As locked.
    Same,
    /// Another layout under another version: to be locked.
    Raised,
    /// Another layout under the same version, or an older one: what differs, locked lines with `-`, present ones with `+`.
    Broken(Vec<String>),
}

/// Compares the built object's layout with the locked one.
///
/// # Errors
/// Where they differ.
pub fn check(workspace: &Workspace) -> Result<()> {
    let (path, present) = (lock(workspace), present(workspace)?);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{} cannot be read; `cargo xtask lint --update-abi` makes it", path.display()))?;
    match compare(&Abi::parse(&text).with_context(|| path.display().to_string())?, &present) {
        Verdict::Same => Ok(()),
        Verdict::Raised => bail!(
            "the layout's version is {}, which {} does not have; write it with `cargo xtask lint --update-abi`",
            present.version,
            path.display()
        ),
        Verdict::Broken(lines) => bail!(
            "the layout of maps changed, but its version {VERSION} did not:\n{}\nraise VERSION in \
             common/src/layout.rs, then run `cargo xtask lint --update-abi`",
            lines.join("\n")
        ),
    }
}

/// Locks the built object's layout.
///
/// # Errors
/// Where the version was not raised.
pub fn update(workspace: &Workspace) -> Result<()> {
    let (path, present) = (lock(workspace), present(workspace)?);
    if path.exists() {
        let locked = Abi::parse(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
        if let Verdict::Broken(lines) = compare(&locked, &present) {
            bail!(
                "version {} is locked with another layout; raise VERSION in common/src/layout.rs first:\n{}",
                locked.version,
                lines.join("\n")
            );
        }
    }
    fs::write(&path, present.to_string())?;
    println!("{} holds version {VERSION}", path.display());
    Ok(())
}

fn lock(workspace: &Workspace) -> PathBuf {
    workspace.root.join("common/abi.lock")
}

fn present(workspace: &Workspace) -> Result<Abi> {
    let types = Types::of(&workspace.ebpf().join("ferrule-ebpf"))?;
    Ok(Abi { version: VERSION, lines: layout::of(&types)? })
}

fn compare(locked: &Abi, present: &Abi) -> Verdict {
    if locked == present {
        return Verdict::Same;
    }
    if locked.version < present.version {
        return Verdict::Raised;
    }
    let version = |abi: &Abi| format!("version {}", abi.version);
    let all = |abi: &Abi| [vec![version(abi)], within(&abi.lines)].concat();
    let (old, new) = (all(locked), all(present));
    let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}"));
    let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}"));
    Verdict::Broken(gone.chain(come).collect())
}

/// Each line with the map and the part that it belongs to, so that it says what it means where it stands alone.
fn within(lines: &[String]) -> Vec<String> {
    let (mut map, mut part) = ("", "");
    lines
        .iter()
        .map(|line| {
            if !line.starts_with(' ') {
                (map, part) = (line.split(':').next().unwrap_or(line), "");
                return line.clone();
            }
            if !line.starts_with("   ") {
                part = line.split_whitespace().next().unwrap_or("");
            }
            format!("{map}, {part}: {}", line.trim())
        })
        .collect()
}

const HEAD: &str =
    "# The layout of the pinned maps, from the eBPF object's BTF. Written by `cargo xtask lint --update-abi`.";

impl Abi {
    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let version =
            lines.next().and_then(|line| line.strip_prefix("version ")).context("its first line is no version")?;
        Ok(Self { version: version.parse()?, lines: lines.map(str::to_owned).collect() })
    }
}

impl std::fmt::Display for Abi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{HEAD}\nversion {}", self.version)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map whose value has two fields of one size, in the given order.
    fn object(first: &str, second: &str) -> Abi {
        let json = format!(
            r#"{{"types": [
                {{"id": 1, "kind": "INT", "name": "u32", "size": 4, "bits_offset": 0, "nr_bits": 32, "encoding": "(none)"}},
                {{"id": 2, "kind": "ARRAY", "name": "(anon)", "type_id": 1, "index_type_id": 1, "nr_elems": 7}},
                {{"id": 3, "kind": "PTR", "name": "(anon)", "type_id": 2}},
                {{"id": 4, "kind": "PTR", "name": "(anon)", "type_id": 1}},
                {{"id": 5, "kind": "STRUCT", "name": "Peer", "size": 8, "members": [
                    {{"name": "{first}", "type_id": 1, "bits_offset": 0}}, {{"name": "{second}", "type_id": 1, "bits_offset": 32}}]}},
                {{"id": 6, "kind": "PTR", "name": "(anon)", "type_id": 5}},
                {{"id": 7, "kind": "STRUCT", "name": "HashMap_whatever", "size": 40, "members": [
                    {{"name": "type", "type_id": 3, "bits_offset": 0}}, {{"name": "key", "type_id": 4, "bits_offset": 64}},
                    {{"name": "value", "type_id": 6, "bits_offset": 128}}, {{"name": "max_entries", "type_id": 3, "bits_offset": 192}},
                    {{"name": "map_flags", "type_id": 3, "bits_offset": 256}}]}},
                {{"id": 8, "kind": "VAR", "name": "fr_peers", "type_id": 7, "linkage": "global"}},
                {{"id": 9, "kind": "DATASEC", "name": ".maps", "size": 0, "vars": [{{"type_id": 8, "offset": 0, "size": 40}}]}}
            ]}}"#
        );
        Abi { version: 1, lines: layout::of(&Types::parse(json.as_bytes()).unwrap()).unwrap() }
    }

    #[test]
    fn a_lock_reads_back_as_it_was_written() {
        let abi = object("node", "kind");
        assert_eq!(
            abi.lines,
            [
                "map fr_peers: type 7, entries 7, flags 0x7",
                "  key u32, 4 bytes",
                "  value Peer, 8 bytes",
                "      0 node: u32",
                "      4 kind: u32",
            ]
        );
        let read = Abi::parse(&abi.to_string()).unwrap();
        assert_eq!(compare(&read, &abi), Verdict::Same);
    }

    #[test]
    fn two_fields_of_one_size_that_change_places_are_another_layout() {
        let expected = ["- map fr_peers, value: 0 node: u32", "- map fr_peers, value: 4 kind: u32"];
        let Verdict::Broken(lines) = compare(&object("node", "kind"), &object("kind", "node")) else {
            panic!("the change was not seen")
        };
        assert_eq!(lines[..2], expected);
        assert_eq!(lines[2..], ["+ map fr_peers, value: 0 kind: u32", "+ map fr_peers, value: 4 node: u32"]);
    }

    #[test]
    fn another_layout_under_a_higher_version_is_to_be_locked() {
        let raised = Abi { version: 2, ..object("kind", "node") };
        assert_eq!(compare(&object("node", "kind"), &raised), Verdict::Raised);
    }

    #[test]
    fn a_version_never_goes_back() {
        let back = Abi { version: 0, ..object("node", "kind") };
        assert_eq!(
            compare(&object("node", "kind"), &back),
            Verdict::Broken(vec!["- version 1".into(), "+ version 0".into()])
        );
    }
}
