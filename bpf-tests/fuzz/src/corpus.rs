//! Inputs that are checked in.

use std::{fs, path::Path};

use ferrule_common::hash::fnv1a;

/// Each file's name and content, in the order of the names.
#[derive(Debug)]
pub struct Corpus(pub Vec<(String, Vec<u8>)>);

impl Corpus {
    /// Reads a folder.
    ///
    /// # Panics
    /// Where it cannot be read or is empty: a fuzz test without inputs tests nothing.
    pub fn read(folder: &Path) -> Self {
        let files = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut inputs: Vec<(String, Vec<u8>)> = files
            .map(|file| {
                let path = file.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                (name, fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
            })
            .collect();
        assert!(!inputs.is_empty(), "{} holds no inputs", folder.display());
        inputs.sort();
        Self(inputs)
    }
}

/// A name for an input: FNV-1a, which every build computes alike.
pub fn hash(input: &[u8]) -> u64 {
    fnv1a(input.iter().copied())
}
