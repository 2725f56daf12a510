//! A directory of manifests: which files changed, what each of them last said, and all of it as one set of objects.
//!
//! Files are taken by name. Of an object that stands twice, the first one wins. A file that cannot be read as YAML or
//! JSON keeps its last good objects, and an object with a bad value keeps its last good state, so that a typing error
//! takes nothing away; a policy that was never good is closed. Write a file under a hidden name and rename it: a
//! half-written one may be valid YAML.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ferrule_model::objects::{Identity, Kind, Map, ObjectName, Objects};

use super::{
    Level, Note,
    gather::{self, Shared},
    manifest::{self, Item, SyntaxError},
    reading::{Found, PATIENCE, Reading, Stamp},
    stands::Stands,
};

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
    /// A look that takes too long.
    reading: Option<Reading>,
    objects: Objects,
    notes: Vec<Note>,
    /// Objects that were never good, and stand closed.
    closed: HashSet<Identity>,
    /// It was read well at least once.
    good: bool,
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
                self.files.retain(|name, _| found.contains(name));
                found.into_iter().for_each(|name| self.refresh(name));
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

    /// The manifests' names; hidden files and other endings are not ours.
    fn list(&self) -> io::Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(&self.path)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            let ending = Path::new(&name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if !name.starts_with('.') && matches!(ending, "yaml" | "yml" | "json") {
                found.insert(name);
            }
        }
        Ok(found)
    }

    /// Reads a file again if it changed. One that does not answer is asked no second time before it has.
    fn refresh(&mut self, name: String) {
        let file = self.files.entry(name.clone()).or_default();
        let (reading, patience) = match file.reading.take() {
            Some(reading) => (Ok(reading), Duration::ZERO),
            None => (Reading::begin(self.path.join(&name), file.stamp), PATIENCE),
        };
        let reading = match reading {
            Ok(reading) => reading,
            Err(error) => return file.update(&name, Err(unreadable(error.to_string()))),
        };
        match reading.wait(patience) {
            Some(Found::Same) => {}
            Some(Found::Absent) => _ = self.files.remove(&name),
            Some(Found::Text(stamp, text)) => {
                file.stamp = Some(stamp);
                file.update(&name, if name.ends_with(".json") { manifest::json(&text) } else { manifest::yaml(&text) });
            }
            Some(Found::Unreadable(message)) => {
                file.stamp = None;
                file.update(&name, Err(unreadable(message)));
            }
            None => {
                (file.stamp, file.reading) = (None, Some(reading));
                let message = format!("does not answer within {} s", PATIENCE.as_secs());
                file.update(&name, Err(unreadable(message)));
            }
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
        let (old, was_closed) = (std::mem::take(&mut self.objects), std::mem::take(&mut self.closed));
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
                Item::Bad { identity, error, stand_in } => {
                    let known = identity.as_ref().filter(|identity| !was_closed.contains(*identity));
                    let stands = if known.is_some_and(|known| gather::keep(&mut self.objects, known, &old)) {
                        Stands::Known
                    } else if let Some(object) = stand_in {
                        gather::enter(&mut self.objects, *object, &old, &mut shared);
                        self.closed.extend(identity.clone());
                        Stands::Closed
                    } else {
                        Stands::Nothing
                    };
                    whole &= stands != Stands::Nothing;
                    let message = format!("{error}; correct it, until then {}", stands.words());
                    self.note(Level::Error, name, None, identity.as_ref(), message);
                }
            }
        }
        // An object without a name may be any that was there before: then none of those goes.
        if self.notes.iter().any(|note| note.level == Level::Error && note.object.is_none()) {
            gather::keep_all(&mut self.objects, &old);
            self.closed.extend(was_closed);
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

const fn unreadable(message: String) -> SyntaxError {
    SyntaxError { line: None, message }
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
