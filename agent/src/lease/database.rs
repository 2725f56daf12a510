//! The lease file: one redb table of text to text.
//!
//! | key | value |
//! |---|---|
//! | `lease/CONTAINER/IFNAME` | a [`super::Lease`] as JSON |
//! | `rest/ADDRESS`, `index/NUMBER` | when it was released, in milliseconds since 1970 |
//! | `cursor/4`, `cursor/6` | the address that the round robin gave last |

use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use super::LeaseError;

const TABLE: TableDefinition<'_, &str, &str> = TableDefinition::new("ferrule-leases-1");

/// Leases are few; the default cache of redb is 1 GiB.
const CACHE_BYTES: usize = 1 << 20;

/// A change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Insert or replace.
    Put(String, String),
    /// Remove, if it is there.
    Remove(String),
}

/// The lease file, open.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    redb: redb::Database,
}

impl Database {
    /// Opens the file and checks all of it; makes it where it does not exist. A new file is made under another name and
    /// renamed, so that one of this name is always whole: an empty one has lost its leases.
    pub(super) fn open(path: &Path) -> Result<Self, LeaseError> {
        let io = |source| LeaseError::Io { path: path.to_owned(), source };
        match fs::metadata(path) {
            Ok(metadata) if metadata.len() == 0 => {
                return Err(LeaseError::Damaged { path: path.to_owned(), reason: "it is empty".to_owned() });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(error) => return Err(io(error)),
        }
        let redb = builder().open(path).map_err(|error| classify(path, error.into()))?;
        Ok(Self { path: path.to_owned(), redb })
    }

    /// Every row.
    pub(super) fn rows(&self) -> Result<Vec<(String, String)>, LeaseError> {
        let read = || -> Result<_, redb::Error> {
            let table = self.redb.begin_read()?.open_table(TABLE)?;
            let mut rows = Vec::new();
            for row in table.iter()? {
                let (key, value) = row?;
                rows.push((key.value().to_owned(), value.value().to_owned()));
            }
            Ok(rows)
        };
        read().map_err(|error| classify(&self.path, error))
    }

    /// Makes all changes, or none; they are on disk when it returns.
    pub(super) fn write(&self, changes: &[Change]) -> Result<(), LeaseError> {
        let write = || -> Result<(), redb::Error> {
            let transaction = self.redb.begin_write()?;
            {
                let mut table = transaction.open_table(TABLE)?;
                for change in changes {
                    match change {
                        Change::Put(key, value) => _ = table.insert(key.as_str(), value.as_str())?,
                        Change::Remove(key) => _ = table.remove(key.as_str())?,
                    }
                }
            }
            Ok(transaction.commit()?)
        };
        write().map_err(|error| classify(&self.path, error))
    }
}

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn create(path: &Path) -> Result<(), LeaseError> {
    let io = |source| LeaseError::Io { path: path.to_owned(), source };
    let new = path.with_extension("new");
    // What a crash left of an earlier attempt; no lease was ever given from it.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let redb = builder().create(&new).map_err(|error| classify(path, error.into()))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).map_err(io)?;
    let database = Database { path: path.to_owned(), redb };
    database.write(&[])?;
    drop(database);
    fs::rename(&new, path).map_err(io)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
}

/// What a damaged file is, and what a sick disk.
fn classify(path: &Path, error: redb::Error) -> LeaseError {
    let path = path.to_owned();
    match error {
        redb::Error::Corrupted(reason) => LeaseError::Damaged { path, reason },
        redb::Error::UpgradeRequired(version) => {
            LeaseError::Damaged { path, reason: format!("it has redb's old format {version}") }
        }
        // redb reports a foreign magic number and a file that ends early so.
        redb::Error::Io(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            LeaseError::Damaged { path, reason: error.to_string() }
        }
        error @ (redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. }) => {
            LeaseError::Damaged { path, reason: error.to_string() }
        }
        source => LeaseError::Storage { path, source: Box::new(source) },
    }
}
