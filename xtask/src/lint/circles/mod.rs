//! Files of one crate that import each other in a circle: what stands above and what below can then not be told, and the
//! compiler does not mind.
//!
//! ```text
//! cargo metadata ─▶ roots ─▶ tree: modules and their files ─▶ imports: who names what of whom ─▶ components of two and more
//! ```
//! Tests are left out, and so is what a module hands on (`pub use`): a folder's face is no import.

mod components;
mod imports;
mod tree;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use self::tree::Tree;
use crate::{step::capture, workspace::Workspace};

/// Every crate's.
///
/// # Errors
/// Names the files of each circle and what ties them; or a file does not parse.
pub fn check(workspace: &Workspace) -> Result<()> {
    let mut circles = Vec::new();
    for root in roots(workspace)? {
        let tree = Tree::read(&root)?;
        let folder = format!("{}/", workspace.root.display());
        circles.extend(of(&tree).into_iter().map(|circle| circle.replace(&folder, "")));
    }
    if !circles.is_empty() {
        bail!(
            "{} circles of imports; move what both need to a file below both:\n{}",
            circles.len(),
            circles.join("\n")
        );
    }
    Ok(())
}

/// The circles of one crate, a paragraph each.
fn of(tree: &Tree) -> Vec<String> {
    let imports = imports::of(tree);
    let circles = components::of(&imports);
    let file = |module: usize| tree.modules[module].file.display();
    let paragraph = |circle: Vec<usize>| {
        let ties = imports.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
        let lines = ties.map(|((from, to), names)| {
            format!("  {} -> {}: {}", file(*from), file(*to), names.iter().cloned().collect::<Vec<_>>().join(", "))
        });
        format!("circle of {} files\n{}", circle.len(), lines.collect::<Vec<_>>().join("\n"))
    };
    circles.into_iter().map(paragraph).collect()
}

/// The root file of each library and program of the workspace.
fn roots(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let metadata = capture(workspace.cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let targets = list(&metadata["packages"]).into_iter().flat_map(|package| list(&package["targets"]));
    // By path: an object for tests may share a file with another target.
    let roots: BTreeMap<PathBuf, ()> = targets
        .filter(|target| list(&target["kind"]).iter().any(|kind| kind == "lib" || kind == "bin"))
        .filter_map(|target| Some((PathBuf::from(target["src_path"].as_str()?), ())))
        .collect();
    Ok(roots.into_keys().collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The circles of a crate with these files.
    fn check(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let prefix = format!("{}/", folder.path().display());
        let found = of(&Tree::read(&folder.path().join("lib.rs")).unwrap());
        found.into_iter().map(|circle| circle.replace(&prefix, "")).collect()
    }

    #[test]
    fn two_files_that_name_each_other_are_a_circle() {
        let found = check(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "pub struct B; fn f() { super::a::A; }"),
        ]);
        assert_eq!(found, ["circle of 2 files\n  a.rs -> b.rs: B\n  b.rs -> a.rs: A"]);
    }

    #[test]
    fn what_a_folder_hands_on_is_its_file_s() {
        let files = [
            ("lib.rs", "mod a; mod c;"),
            ("a/mod.rs", "mod b; pub use b::B;"),
            ("a/b.rs", "use crate::c::C; pub struct B;"),
            ("c.rs", "pub struct C; use crate::a::B;"),
        ];
        assert_eq!(check(&files), ["circle of 2 files\n  a/b.rs -> c.rs: C\n  c.rs -> a/b.rs: B"]);
    }

    #[test]
    fn a_folder_s_own_item_that_its_file_needs_makes_a_circle_where_the_folder_needs_the_file() {
        let files = [("lib.rs", "mod a;"), ("a/mod.rs", "mod b; pub struct A; fn f() { b::go() }")];
        let needs = ("a/b.rs", "use super::A; pub fn go() {}");
        assert_eq!(check(&[&files[..], &[needs]].concat()).len(), 1);
        assert_eq!(check(&[&files[..], &[("a/b.rs", "pub fn go() {}")]].concat()), [""; 0]);
    }

    #[test]
    fn tests_are_no_part_of_it() {
        let found = check(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }"),
        ]);
        assert_eq!(found, [""; 0]);
    }
}
