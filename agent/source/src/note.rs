//! What a source has to say about its input.

use ferrule_model::objects::Identity;

/// Something a source has to say about its input. Shown as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// Whether something is wrong, or merely worth knowing.
    pub level: Level,
    /// The file's name, or the directory where that is the matter.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<u64>,
    /// Where an object is the matter.
    pub object: Option<Identity>,
    /// What is wrong, and what stands instead.
    pub message: String,
}

/// How bad a [`Note`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Nothing is wrong.
    Note,
    /// Some input could not be used.
    Error,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(object) = &self.object {
            write!(f, ": {object}")?;
        }
        write!(f, ": {}", self.message)
    }
}
