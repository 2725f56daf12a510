//! Which file names what of which other file of its crate.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Item, ItemMod, Path, UseTree, Visibility, visit::Visit};

use super::tree::{Tree, attributes, is_test};

/// The names that a module takes from another.
pub type Imports = BTreeMap<(usize, usize), BTreeSet<String>>;

/// How often a name may be handed on before it is given up.
const HANDS: usize = 16;

/// Every import of a crate.
pub fn of(tree: &Tree) -> Imports {
    let mut imports = Imports::new();
    for (number, module) in tree.modules.iter().enumerate() {
        let mut names = Names { paths: Vec::new() };
        module.items.iter().for_each(|item| names.visit_item(item));
        for path in names.paths {
            let Some(found) = start(tree, number, &path).and_then(|(from, rest)| find(tree, from, rest, HANDS)) else {
                continue;
            };
            if found != number {
                let name = path.last().cloned().unwrap_or_default();
                imports.entry((number, found)).or_default().insert(name);
            }
        }
    }
    imports
}

/// The paths that stand in a file, but for those that it hands on.
struct Names {
    paths: Vec<Vec<String>>,
}

impl<'a> Visit<'a> for Names {
    fn visit_item(&mut self, item: &'a Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            Item::Use(import) if matches!(import.vis, Visibility::Inherited) => {
                flatten(&import.tree, &[], &mut |path, _| self.paths.push(path));
            }
            Item::Use(_) => {}
            other => syn::visit::visit_item(self, other),
        }
    }

    /// `pub(in crate::api)` takes nothing from there.
    fn visit_visibility(&mut self, _: &'a Visibility) {}

    fn visit_item_mod(&mut self, module: &'a ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_path(&mut self, path: &'a Path) {
        if path.segments.len() > 1 {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }
}

/// Each path of a `use`, with the name that it gets.
fn flatten(tree: &UseTree, before: &[String], tell: &mut impl FnMut(Vec<String>, String)) {
    let with = |name: String| [before, &[name]].concat();
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &with(path.ident.to_string()), tell),
        UseTree::Group(group) => group.items.iter().for_each(|item| flatten(item, before, tell)),
        UseTree::Name(name) if name.ident == "self" => {
            tell(before.to_vec(), before.last().cloned().unwrap_or_default());
        }
        UseTree::Name(name) => tell(with(name.ident.to_string()), name.ident.to_string()),
        UseTree::Rename(name) => tell(with(name.ident.to_string()), name.rename.to_string()),
        UseTree::Glob(_) => tell(with("*".into()), "*".into()),
    }
}

/// The module that a path begins in, and what follows; none where it leads out of the crate.
fn start<'a>(tree: &Tree, module: usize, path: &'a [String]) -> Option<(usize, &'a [String])> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some((0, rest)),
        "self" => Some((module, rest)),
        "super" => {
            let (mut at, mut rest) = (tree.modules[module].parent, rest);
            while let Some(("super", more)) = rest.split_first().map(|(first, more)| (first.as_str(), more)) {
                (at, rest) = (tree.modules[at].parent, more);
            }
            Some((at, rest))
        }
        name if tree.modules[module].children.contains_key(name) => Some((module, path)),
        _ => None,
    }
}

/// The module whose file says what the path names.
fn find(tree: &Tree, from: usize, path: &[String], hands: usize) -> Option<usize> {
    let Some((first, rest)) = path.split_first() else { return Some(from) };
    if let Some(child) = tree.modules[from].children.get(first) {
        return find(tree, *child, rest, hands);
    }
    if hands > 0
        && let Some(path) = handed_on(tree, from, first)
        && let Some((at, path)) = start(tree, from, &path)
    {
        return find(tree, at, &[path, rest].concat(), hands - 1);
    }
    Some(from)
}

/// Where a module has a name from that it hands on.
fn handed_on(tree: &Tree, module: usize, name: &str) -> Option<Vec<String>> {
    let mut found = None;
    for item in &tree.modules[module].items {
        let Item::Use(import) = item else { continue };
        flatten(&import.tree, &[], &mut |path, given| {
            if given == name {
                found = Some(path);
            }
        });
    }
    found
}
