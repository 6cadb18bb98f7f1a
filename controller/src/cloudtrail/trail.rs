//! Where a trail's files lie.

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use credpin_ledger::{Access, RecordStore, StoreAnswer, StoreError, StoreUrl, StoreUrlError};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt};
use thiserror::Error;
use tokio::runtime::Handle;

use super::{
    Trouble, What,
    name::{File, hour_of},
};

/// The name of a trail: a directory, or `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source(StoreUrl);

/// A text that names no trail.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct SourceError(StoreUrlError);

/// A trail that can be read.
#[derive(Clone, Debug)]
pub enum Trail {
    /// The files below a directory.
    Directory(PathBuf),
    /// The objects of a store.
    Objects {
        /// The store, below the trail's prefix.
        objects: Arc<dyn ObjectStore>,
        /// What it is called.
        name: String,
    },
}

/// A trail cannot be read at all.
#[derive(Debug, Error)]
pub enum TrailError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory cannot be read.
    #[error("cannot read the trail {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store cannot be listed.
    #[error("cannot list the trail {name}")]
    List {
        /// The trail.
        name: String,
        /// What the store said.
        source: StoreAnswer,
    },
    /// There is nothing in it.
    #[error(
        "there is no file of CloudTrail records in {0}: name the folder or the prefix that has AWSLogs/, or one below"
    )]
    Empty(String),
}

/// What is in a trail.
pub(super) struct Listed {
    /// In the order in which they were delivered.
    pub(super) files: Vec<File>,
    pub(super) left_out: u64,
    pub(super) earlier: u64,
    pub(super) troubles: Vec<Trouble>,
}

impl Trail {
    /// Opens the trail of that name. Nothing is sent to S3 before it is listed.
    pub fn open(source: &Source, access: &Access) -> Result<Self, TrailError> {
        match &source.0 {
            StoreUrl::Directory(path) => Ok(Self::Directory(path.clone())),
            url @ StoreUrl::S3(_) => Ok(Self::Objects {
                objects: RecordStore::open(url, access)?.objects(),
                name: url.to_string(),
            }),
        }
    }

    pub(super) async fn list(&self) -> Result<Listed, TrailError> {
        let mut listed = Listed {
            files: Vec::new(),
            left_out: 0,
            earlier: 0,
            troubles: Vec::new(),
        };
        let name = match self {
            Self::Directory(path) => {
                let failed = |source| TrailError::Directory {
                    path: path.clone(),
                    source,
                };
                listed.folder(path, "").map_err(failed)?;
                path.display().to_string()
            }
            Self::Objects { objects, name } => {
                let mut all = objects.list(None);
                while let Some(object) = all.next().await {
                    let object = object.map_err(|error| TrailError::List {
                        name: name.clone(),
                        source: StoreAnswer::from(&error),
                    })?;
                    listed.add(object.location.to_string());
                }
                name.clone()
            }
        };
        listed.files.sort();
        if listed.files.is_empty() && listed.troubles.is_empty() {
            return Err(TrailError::Empty(name));
        }
        Ok(listed)
    }

    /// A file of it. Of S3, what comes is awaited on `handle`, by a thread that is not one of its own.
    pub(super) fn open_file(
        &self,
        file: &File,
        handle: &Handle,
    ) -> Result<Box<dyn Read + Send>, What> {
        match self {
            Self::Directory(path) => match fs::File::open(path.join(&file.name)) {
                Ok(file) => Ok(Box::new(file)),
                Err(error) => Err(What::Read(format!("cannot open it: {error}"))),
            },
            Self::Objects { objects, .. } => {
                let path = object_store::path::Path::parse(&file.name)
                    .map_err(|error| What::Read(error.to_string()))?;
                let got = handle.block_on(objects.get(&path));
                let got = got.map_err(|error| What::Read(StoreAnswer::from(&error).to_string()))?;
                Ok(Box::new(Body {
                    handle: handle.clone(),
                    rest: got.into_stream(),
                    piece: bytes::Bytes::new(),
                }))
            }
        }
    }
}

impl Listed {
    /// Leaves out the files that were delivered earlier. One whose name does not tell stays.
    pub(super) fn leave_out_before(&mut self, since: Timestamp) {
        let hour = hour_of(since);
        let is_earlier = |file: &File| file.hour != i64::MIN && file.hour < hour;
        let all = self.files.len();
        self.files.retain(|file| !is_earlier(file));
        self.earlier = (all - self.files.len()) as u64;
    }

    fn add(&mut self, name: String) {
        match File::new(name) {
            Some(file) => self.files.push(file),
            None => self.left_out += 1,
        }
    }

    /// Takes in what lies in `folder`, whose name below the trail's is `name`. Links to folders are
    /// not followed: they could lead round in a circle.
    fn folder(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let Some(last) = file_name.to_str() else {
                self.left_out += 1;
                continue;
            };
            let below = if name.is_empty() {
                last.to_owned()
            } else {
                format!("{name}/{last}")
            };
            if !entry.file_type()?.is_dir() {
                self.add(below);
            } else if let Err(error) = self.folder(&entry.path(), &below) {
                self.troubles.push(Trouble {
                    name: below,
                    why: format!("cannot look into it: {error}"),
                });
            }
        }
        Ok(())
    }
}

/// An object, as it comes.
struct Body {
    handle: Handle,
    rest: BoxStream<'static, object_store::Result<bytes::Bytes>>,
    piece: bytes::Bytes,
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.handle.block_on(self.rest.try_next()) {
                Ok(Some(piece)) => self.piece = piece,
                Ok(None) => return Ok(0),
                Err(error) => {
                    return Err(io::Error::other(StoreAnswer::from(&error)));
                }
            }
        }
        let length = into.len().min(self.piece.len());
        into[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        if text.contains("://") {
            text.parse().map(Self).map_err(SourceError)
        } else {
            Ok(Self(StoreUrl::Directory(text.into())))
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            StoreUrl::Directory(path) => path.display().fmt(f),
            StoreUrl::S3(bucket) => bucket.fmt(f),
        }
    }
}
