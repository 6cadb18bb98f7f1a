//! Files of a directory cloud: read whole or not at all, written whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::cloud::shapes::Answer;

/// A file that is there but cannot be used.
#[derive(Debug, Error)]
pub(super) enum FileError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// It is not the JSON that it should be.
    #[error("{}:{}:{}: {}", path.display(), source.line(), source.column(), plain(source))]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// It is one page of an answer.
    #[error("{} is only the first page of the answer: leave out --max-items and --no-paginate", path.display())]
    Page { path: PathBuf },
}

/// The answer in the file at `path`; `None` where there is no such file.
pub(super) fn read<A: Answer>(path: &Path) -> Result<Option<A>, FileError> {
    match read_json::<A>(path)? {
        Some(answer) if !answer.is_whole() => Err(FileError::Page { path: path.into() }),
        answer => Ok(answer),
    }
}

/// The JSON value in the file at `path`; `None` where there is no such file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(FileError::Io {
                path: path.into(),
                source,
            });
        }
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| FileError::Json {
            path: path.into(),
            source,
        })
}

/// Writes `text` to `path` so that a reader, or a machine that lost power, finds the old text or
/// the new and nothing between: write beside it, sync, rename, sync the folder.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

/// Removes the file at `path`, if there is one.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What serde says, without the place that we say first.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    if error.is_eof() {
        format!("the file is cut short ({message})")
    } else {
        message.to_owned()
    }
}
