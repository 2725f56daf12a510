//! The input that is being tried, in a file: what ends the process at once (a stack that overflows, a test's time limit)
//! leaves it there.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// The file.
#[derive(Debug)]
pub struct Last {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Last {
    /// Makes or empties it.
    pub fn in_file(path: &Path) -> Self {
        let file = File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path: path.to_owned(), file, length: 0 }
    }

    /// Takes down an input.
    pub fn note(&mut self, input: &[u8]) {
        let length = input.len() as u64;
        let shorter = length < self.length;
        let written =
            self.file.write_all_at(input, 0).and_then(|()| if shorter { self.file.set_len(length) } else { Ok(()) });
        written.unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        self.length = length;
    }
}
