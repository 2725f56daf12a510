//! A directory of manifests: which files changed, what each of them last said, and all of it as one set of objects.
//!
//! Files are taken by name. Of an object that stands twice, the first one wins. A file that cannot be read as YAML or
//! JSON keeps its last good objects, and an object with a bad value keeps its last good state, so that a typing error
//! takes nothing away. Write a file under a hidden name and rename it: a half-written one may be valid YAML.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use ferrule_model::objects::{Identity, Kind, Map, ObjectName, Objects};

use super::gather::{self, Shared};
use super::manifest::{self, Item, SyntaxError};
use super::{Level, Note};

/// A directory, and what was last read from it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    files: BTreeMap<String, File>,
    listed: bool,
}

/// All objects of a directory at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Every object, duplicates settled.
    pub objects: Objects,
    /// What is wrong with the files, or worth knowing.
    pub notes: Vec<Note>,
    /// The directory could be listed at least once.
    pub listed: bool,
    /// Every file could be read at least once: that an object is not there means that nobody wants it.
    pub whole: bool,
}

/// What one file last said.
#[derive(Debug, Default)]
struct File {
    stamp: Option<Stamp>,
    objects: Objects,
    notes: Vec<Note>,
    /// It was read well at least once.
    good: bool,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified_ns: (i64, i64),
    changed_ns: (i64, i64),
}

impl Folder {
    /// A directory that need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), files: BTreeMap::new(), listed: false }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what changed. While the directory cannot be listed, what was last read stands.
    pub fn scan(&mut self) -> Contents {
        match self.list() {
            Ok(found) => {
                self.listed = true;
                self.files.retain(|name, _| found.contains_key(name));
                for (name, stamp) in found {
                    self.refresh(name, stamp);
                }
                self.contents(vec![])
            }
            Err(error) => {
                let stands = if self.listed { "; what was last read from it stands" } else { "" };
                let message = format!("cannot list this directory of manifests: {error}; create it{stands}");
                let file = self.path.display().to_string();
                self.contents(vec![Note { level: Level::Error, file, line: None, object: None, message }])
            }
        }
    }

    /// The manifests by name; hidden files and other endings are not ours.
    fn list(&self) -> io::Result<BTreeMap<String, Option<Stamp>>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let ending = Path::new(&name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if name.starts_with('.') || !matches!(ending, "yaml" | "yml" | "json") {
                continue;
            }
            // Follows links: that is how a mounted ConfigMap looks.
            match fs::metadata(entry.path()) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(metadata) => _ = found.insert(name, Some(Stamp::of(&metadata))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => _ = found.insert(name, None),
            }
        }
        Ok(found)
    }

    /// Reads a file again if it changed; one whose stamp cannot be had is tried each time.
    fn refresh(&mut self, name: String, stamp: Option<Stamp>) {
        let file = self.files.entry(name.clone()).or_default();
        if stamp.is_some() && file.stamp == stamp {
            return;
        }
        file.stamp = stamp;
        match fs::read_to_string(self.path.join(&name)) {
            Ok(text) => {
                let items = if name.ends_with(".json") { manifest::json(&text) } else { manifest::yaml(&text) };
                file.update(&name, items);
            }
            Err(error) => file.update(&name, Err(SyntaxError { line: None, message: error.to_string() })),
        }
    }

    fn contents(&self, mut notes: Vec<Note>) -> Contents {
        let mut objects = Objects::default();
        for (name, file) in &self.files {
            notes.extend(file.notes.iter().cloned());
            let mut merge = Merge { file: name, notes: &mut notes };
            let unscoped = |kind| move |name: &Arc<str>| Identity::cluster_scoped(kind, Arc::clone(name));
            let scoped = |kind| move |name: &ObjectName| Identity::new(kind, name);
            let own = &file.objects;
            merge.all(unscoped(Kind::Node), &mut objects.nodes, &own.nodes);
            merge.all(unscoped(Kind::Namespace), &mut objects.namespaces, &own.namespaces);
            merge.all(scoped(Kind::Pod), &mut objects.pods, &own.pods);
            merge.all(scoped(Kind::NetworkPolicy), &mut objects.policies, &own.policies);
            merge.all(scoped(Kind::Service), &mut objects.services, &own.services);
            merge.all(scoped(Kind::EndpointSlice), &mut objects.endpoint_slices, &own.endpoint_slices);
        }
        let whole = self.listed && self.files.values().all(|file| file.good);
        Contents { objects, notes, listed: self.listed, whole }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: (metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl File {
    /// Takes over what was read, and keeps what could not be.
    fn update(&mut self, name: &str, items: Result<Vec<Item>, SyntaxError>) {
        self.notes.clear();
        let items = match items {
            Ok(items) => items,
            Err(error) => {
                let stands = if self.good { "its last good objects stand" } else { "nothing of it is used" };
                let message = format!("{}; correct the file, until then {stands}", error.message);
                self.note(Level::Error, name, error.line, None, message);
                return;
            }
        };
        let old = std::mem::take(&mut self.objects);
        let (mut shared, mut unused, mut whole) = (Shared::default(), BTreeMap::<String, usize>::new(), true);
        for item in items {
            match item {
                Item::Object(identity, object) => {
                    if !gather::enter(&mut self.objects, object, &old, &mut shared) {
                        let message = "stands twice in this file; the first one is used, remove the other".to_owned();
                        self.note(Level::Note, name, None, Some(&identity), message);
                    }
                }
                Item::Unused { kind } => *unused.entry(kind).or_default() += 1,
                Item::Bad { identity, error } => {
                    let kept =
                        identity.as_ref().is_some_and(|identity| gather::keep(&mut self.objects, identity, &old));
                    whole &= kept;
                    let stands = if kept { "its last good state stands" } else { "it is not used" };
                    let message = format!("{error}; correct it, until then {stands}");
                    self.note(Level::Error, name, None, identity.as_ref(), message);
                }
            }
        }
        // An object without a name may be any that was there before: then none of those goes.
        if self.notes.iter().any(|note| note.level == Level::Error && note.object.is_none()) {
            gather::keep_all(&mut self.objects, &old);
        }
        for (kind, count) in unused {
            self.note(Level::Note, name, None, None, format!("{count} of kind {kind} ignored: nothing here uses it"));
        }
        self.good |= whole;
    }

    fn note(&mut self, level: Level, file: &str, line: Option<u64>, object: Option<&Identity>, message: String) {
        let object = object.cloned();
        self.notes.push(Note { level, file: file.to_owned(), line, object, message });
    }
}

/// Adds one file's objects to those of the files before it.
struct Merge<'a> {
    file: &'a str,
    notes: &'a mut Vec<Note>,
}

impl Merge<'_> {
    fn all<K: Ord + Clone, T>(
        &mut self,
        identity: impl Fn(&K) -> Identity,
        all: &mut Map<K, Arc<T>>,
        own: &Map<K, Arc<T>>,
    ) {
        if all.is_empty() {
            all.clone_from(own);
            return;
        }
        let mut twice = BTreeSet::new();
        for (key, value) in own {
            if all.contains_key(key) {
                twice.insert(key);
            } else {
                all.insert(key.clone(), Arc::clone(value));
            }
        }
        self.notes.extend(twice.into_iter().map(|key| Note {
            level: Level::Note,
            file: self.file.to_owned(),
            line: None,
            object: Some(identity(key)),
            message: "stands in an earlier file too, which is used; remove one of them".to_owned(),
        }));
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
