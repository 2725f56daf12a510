//! A crate's modules and the files that they stand in, as the compiler finds them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use syn::{Attribute, Expr, Item, ItemMod, Lit, Meta};

/// The modules of a crate, the root first. Modules within a file are part of the file's.
pub struct Tree {
    /// By number.
    pub modules: Vec<Module>,
}

/// A module with a file of its own.
pub struct Module {
    /// Its file.
    pub file: PathBuf,
    /// The module that declares it; the root declares itself.
    pub parent: usize,
    /// The modules that it declares, by name.
    pub children: BTreeMap<String, usize>,
    /// What stands in it, without tests.
    pub items: Vec<Item>,
}

impl Tree {
    /// Reads a crate from its root file.
    ///
    /// # Errors
    /// A file is missing or does not parse.
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self { modules: Vec::new() };
        // A root's modules lie beside it, whatever it is called.
        let folder = root.parent().unwrap_or(root).to_owned();
        tree.add(root, &folder, 0)?;
        Ok(tree)
    }

    fn add(&mut self, file: &Path, folder: &Path, parent: usize) -> Result<usize> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let parsed = syn::parse_file(&text).with_context(|| file.display().to_string())?;
        let items: Vec<Item> = parsed.items.into_iter().filter(|item| !is_test(attributes(item))).collect();
        let declared: Vec<ItemMod> = items.iter().filter_map(declaration).collect();
        let number = self.modules.len();
        let module = Module { file: file.to_owned(), parent, children: BTreeMap::new(), items };
        self.modules.push(module);
        for one in declared {
            let name = one.ident.to_string();
            let (file, folder) = place(&one, file, folder, &name);
            let child = self.add(&file, &folder, number)?;
            self.modules[number].children.insert(name, child);
        }
        Ok(number)
    }
}

/// A module that has its own file.
fn declaration(item: &Item) -> Option<ItemMod> {
    match item {
        Item::Mod(module) if module.content.is_none() => Some(module.clone()),
        _ => None,
    }
}

/// Where a module's file is, and the folder of those that it declares.
fn place(module: &ItemMod, parent: &Path, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    if let Some(path) = module.attrs.iter().find_map(path_of) {
        let file = parent.parent().unwrap_or(parent).join(path);
        let folder = file.parent().unwrap_or(&file).to_owned();
        return (file, folder);
    }
    let own = folder.join(name);
    let flat = folder.join(format!("{name}.rs"));
    (if flat.is_file() { flat } else { own.join("mod.rs") }, own)
}

/// `#[path = "…"]`.
fn path_of(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    match &pair.value {
        Expr::Lit(literal) if pair.path.is_ident("path") => match &literal.lit {
            Lit::Str(path) => Some(path.value()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether something is compiled for tests alone.
pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return attribute.path().is_ident("test") };
        list.path.is_ident("cfg") && list.tokens.to_string().starts_with("test")
    })
}

/// The attributes of those items that tests are written as.
pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        _ => &[],
    }
}
