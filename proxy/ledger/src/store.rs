//! The record store: where the ledgers of all hosts come together.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};

#[cfg(feature = "s3")]
use crate::Credentials;
use crate::{Bucket, StoreAnswer, StoreUrl, UserId};

/// A record store that can be read and written.
#[derive(Clone, Debug)]
pub struct RecordStore {
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// Where a host can only write under a name that it has to ask for.
    naming: Option<Arc<dyn Naming>>,
}

/// Says under which name this host may write.
pub(crate) trait Naming: fmt::Debug + Send + Sync {
    fn user(&self) -> BoxFuture<'_, Result<UserId, WhoError>>;
}

/// With whose credentials S3 is asked. A directory needs none.
#[derive(Clone, Debug)]
pub enum Access {
    /// As these variables of an environment say (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, …), and where they
    /// do not, as S3 clients find out: from the container, or from the instance.
    Variables(Vec<(String, String)>),
    /// Unsigned: to see whether the bucket is there.
    Nobody {
        /// Of the host, which is the bucket's if its URL names none; may be empty.
        region: String,
    },
    /// With the credentials of this host's own role.
    #[cfg(feature = "s3")]
    Host {
        /// How to get them.
        credentials: Credentials,
        /// Of the host, which is the bucket's if its URL names none; may be empty.
        region: String,
    },
}

/// A record store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// This build cannot reach S3.
    #[error("this build has no S3: use file:///dir, or a build with the feature `s3`")]
    NoS3,
    /// The directory could not be made or opened.
    #[error("cannot open the record store {}", dir.display())]
    Directory {
        /// The store's directory.
        dir: PathBuf,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The S3 client could not be built.
    #[error("cannot open the record store s3://{bucket}")]
    S3 {
        /// The bucket's name.
        bucket: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody says where the bucket is.
    #[error(
        "cannot open the record store s3://{bucket}: the metadata service does not tell the region; \
         write s3://{bucket}?region=REGION"
    )]
    NoRegion {
        /// The bucket's name.
        bucket: String,
    },
}

/// A record store does not answer as one.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// It was not reached, or refuses altogether.
    #[error("the record store does not answer")]
    Store(#[source] StoreAnswer),
    /// There is no such bucket.
    #[error("there is no such bucket: make it, or mend its name")]
    NoBucket,
}

/// It is not known under which name this host may write.
#[derive(Debug, thiserror::Error)]
pub enum WhoError {
    /// There are no credentials to ask with.
    #[error("cannot get this host's credentials")]
    Credentials(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// STS cannot be reached, or what came from there cannot be read.
    #[error(
        "cannot ask {sts} for this host's aws:userid: let the host reach it (a VPC endpoint), or write \
         sts=off into the store's URL if its bucket policy need not hold hosts to their names"
    )]
    Unreachable {
        /// Where it should be.
        sts: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// STS refused.
    #[error("{sts} does not tell this host's aws:userid: it answers {status} {code}")]
    Refused {
        /// Where it is.
        sts: String,
        /// The HTTP status.
        status: u16,
        /// The error's code; empty if there is none.
        code: String,
    },
    /// What it says is not the session of an instance.
    #[error("{sts} says that these are not the credentials of an instance's role")]
    NotAnInstance {
        /// Where it is.
        sts: String,
    },
}

impl RecordStore {
    /// Opens the store for writing: a directory is made if it is not there.
    pub fn create(url: &StoreUrl, access: &Access) -> Result<Self, StoreError> {
        if let StoreUrl::Directory(dir) = url {
            std::fs::create_dir_all(dir).map_err(|source| StoreError::Directory {
                dir: dir.clone(),
                source: source.into(),
            })?;
        }
        Self::open(url, access)
    }

    /// Opens the store as it is. Nothing is sent to S3 before the first use.
    pub fn open(url: &StoreUrl, access: &Access) -> Result<Self, StoreError> {
        match url {
            StoreUrl::Directory(dir) => {
                let opened = LocalFileSystem::new_with_prefix(dir);
                let objects = opened.map_err(|source| StoreError::Directory {
                    dir: dir.clone(),
                    source: source.into(),
                })?;
                // The host forgets a shipped segment in the end, so the copy must be as durable.
                Ok(Self::over(Arc::new(objects.with_fsync(true))))
            }
            StoreUrl::S3(bucket) => Self::in_bucket(bucket, access),
        }
    }

    /// Whether the store answers. Asks for an object that nobody has; who may not read is told so, and
    /// that is an answer too.
    pub async fn reach(&self) -> Result<(), ReachError> {
        let nobody = Path::from(crate::PREFIX).join("reach");
        match self.objects.get(&nobody).await {
            Err(error @ Error::NotFound { .. }) if StoreAnswer::from(&error).is("NoSuchBucket") => {
                Err(ReachError::NoBucket)
            }
            Ok(_) | Err(Error::PermissionDenied { .. } | Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(ReachError::Store(StoreAnswer::from(&error))),
        }
    }

    /// A store on any object store: memory, or one that fails, in tests.
    pub fn over(objects: Arc<dyn ObjectStore>) -> Self {
        Self {
            objects,
            naming: None,
        }
    }

    /// The objects below the URL, whatever they are.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    #[cfg(feature = "s3")]
    fn in_bucket(bucket: &Bucket, access: &Access) -> Result<Self, StoreError> {
        let (objects, naming) = crate::s3::open(bucket, access)?;
        Ok(Self { objects, naming })
    }

    #[cfg(not(feature = "s3"))]
    fn in_bucket(_: &Bucket, _: &Access) -> Result<Self, StoreError> {
        Err(StoreError::NoS3)
    }

    /// The name under which this host's records have to go; nothing where its instance id will do.
    pub(crate) async fn user(&self) -> Result<Option<UserId>, WhoError> {
        match &self.naming {
            Some(naming) => naming.user().await.map(Some),
            None => Ok(None),
        }
    }
}

impl Default for Access {
    /// Variables, and none of them.
    fn default() -> Self {
        Self::Variables(Vec::new())
    }
}
