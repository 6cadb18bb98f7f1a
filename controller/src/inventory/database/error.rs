//! Why the inventory's file cannot be used, and what to do about it.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// The file cannot be used.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// Another process has it.
    #[error(
        "another process has the inventory {} open: wait until it is done, or name another --database",
        .0.display()
    )]
    InUse(PathBuf),
    /// It is not what this version wrote.
    #[error(
        "the inventory {} is damaged, or not of this version of credpin: `credpin tokens --rebuild` makes \
         it anew from the records",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It is of another record store.
    #[error(
        "the inventory {} is of {found}: name another --database, or --rebuild this one",
        path.display()
    )]
    OtherRecords {
        /// The file.
        path: PathBuf,
        /// Whose records are in it.
        found: String,
    },
    /// It cannot be opened, made, read or written.
    #[error("cannot use the inventory {}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// What the database says, told apart by what can be done about it.
pub(super) fn failed(path: &Path, error: redb::Error) -> DatabaseError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            DatabaseError::InUse(path)
        }
        redb::Error::Io(source) if !is_foreign(&source) => storage(&path, source),
        redb::Error::Backend(source) => DatabaseError::Storage { path, source },
        redb::Error::PreviousIo => storage(&path, error),
        error => DatabaseError::Damaged {
            path,
            source: error.into(),
        },
    }
}

/// The system does not let us.
pub(super) fn storage(
    path: &Path,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> DatabaseError {
    DatabaseError::Storage {
        path: path.to_owned(),
        source: source.into(),
    }
}

/// Whether the file has something else in it than a database, or ends too early.
fn is_foreign(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
