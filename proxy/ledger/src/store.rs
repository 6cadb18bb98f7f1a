//! The record store: where the ledgers of all hosts come together.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, prefix::PrefixStore};
use url::Url;

/// Where a record store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `file:///dir`
    Directory(PathBuf),
    /// `s3://bucket/prefix`
    S3 {
        /// The bucket's name.
        bucket: String,
        /// What every key begins with; may be empty.
        prefix: String,
    },
}

/// A record store that can be read and written.
#[derive(Clone, Debug)]
pub struct RecordStore {
    pub(crate) objects: Arc<dyn ObjectStore>,
}

/// A record store could not be reached, or its URL is none.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The text is no URL of a record store. It is held as it may be shown.
    #[error("{0:?} is not a record store: write file:///dir or s3://bucket/prefix{hint}", hint = hint(.0))]
    Url(String),
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
}

/// `text`, which may be a URL, as it may be shown to people and logs: without what stands before an
/// `@` or after a `?`. Keys of AWS may have slashes, so no part before the last `@` is spared.
pub fn without_secrets(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    let (place, query) = match rest.split_once('?') {
        Some((place, _)) => (place, "?***"),
        None => (rest, ""),
    };
    format!("{scheme}{user}{place}{query}")
}

fn hint(shown: &str) -> &'static str {
    if shown.contains("***") {
        "; credentials do not belong in it, they come from the environment or the instance's role"
    } else {
        ""
    }
}

impl FromStr for StoreUrl {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let wrong = || StoreError::Url(without_secrets(text));
        let url = Url::parse(text).map_err(|_| wrong())?;
        let extra = url.query().is_some() || url.fragment().is_some() || url.port().is_some();
        let user = !url.username().is_empty() || url.password().is_some();
        match url.scheme() {
            _ if extra || user => Err(wrong()),
            "file" => url
                .to_file_path()
                .map(Self::Directory)
                .map_err(|()| wrong()),
            "s3" => Ok(Self::S3 {
                bucket: url.host_str().ok_or_else(wrong)?.to_owned(),
                prefix: url.path().trim_matches('/').to_owned(),
            }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(dir) => write!(f, "file://{}", dir.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl RecordStore {
    /// Opens the store for writing: a directory is made if it is not there.
    pub fn create(url: &StoreUrl) -> Result<Self, StoreError> {
        if let StoreUrl::Directory(dir) = url {
            std::fs::create_dir_all(dir).map_err(|source| StoreError::Directory {
                dir: dir.clone(),
                source: source.into(),
            })?;
        }
        Self::open(url)
    }

    /// Opens the store as it is. Nothing is sent to S3 before the first use.
    pub fn open(url: &StoreUrl) -> Result<Self, StoreError> {
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
            StoreUrl::S3 { bucket, prefix } => {
                let prefix = Path::from(prefix.as_str());
                Ok(Self::over(Arc::new(PrefixStore::new(s3(bucket)?, prefix))))
            }
        }
    }

    /// Whether the store answers. Asks for an object that nobody has; a host that may not read is
    /// told so, and that is an answer too.
    pub async fn reach(&self) -> Result<(), object_store::Error> {
        use object_store::{Error, ObjectStoreExt};
        let nobody = Path::from(crate::PREFIX).join("reach");
        match self.objects.head(&nobody).await {
            Ok(_) | Err(Error::NotFound { .. } | Error::PermissionDenied { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A store on any object store: memory, or one that fails, in tests.
    pub fn over(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects }
    }
}

#[cfg(feature = "s3")]
fn s3(bucket: &str) -> Result<object_store::aws::AmazonS3, StoreError> {
    // reqwest takes the process's TLS provider; an error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    object_store::aws::AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .build()
        .map_err(|source| StoreError::S3 {
            bucket: bucket.to_owned(),
            source: source.into(),
        })
}

#[cfg(not(feature = "s3"))]
fn s3(_bucket: &str) -> Result<LocalFileSystem, StoreError> {
    Err(StoreError::NoS3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_directory_or_a_bucket() {
        for (text, meant) in [
            ("file:///var/lib/records", "file:///var/lib/records"),
            ("s3://bucket", "s3://bucket/"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), meant);
        }
        for text in [
            "",
            "/var/lib/records",
            "file://host/dir",
            "s3://",
            "s3://key:secret@bucket",
            "s3://bucket?x",
            "http://bucket",
        ] {
            assert!(text.parse::<StoreUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_error_repeats_a_secret() {
        for (text, shown) in [
            ("s3://KEY:SECRET@bucket", "\"s3://***@bucket\""),
            ("s3://KEY:SEC/RET@bucket/a", "\"s3://***@bucket/a\""),
            ("s3://KEY:SEC@RET@bucket", "\"s3://***@bucket\""),
            ("KEY:SECRET@bucket", "\"***@bucket\""),
            ("s3://bucket?key=SECRET", "\"s3://bucket?***\""),
            ("s3://KEY:SE?CRET@bucket", "\"s3://***@bucket\""),
        ] {
            let error = text.parse::<StoreUrl>().unwrap_err();
            let told = error.to_string();
            assert!(told.starts_with(shown), "{told}");
            assert!(told.contains("credentials do not belong in it"), "{told}");
            assert!(!format!("{error:?}").contains("CRET"), "{error:?}");
        }
    }

    #[cfg(feature = "s3")]
    #[test]
    fn a_bucket_opens_without_asking_anybody() {
        RecordStore::open(&"s3://bucket/prefix".parse().unwrap()).unwrap();
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn a_build_without_s3_says_so() {
        let error = RecordStore::open(&"s3://bucket/prefix".parse().unwrap()).unwrap_err();
        assert!(matches!(error, StoreError::NoS3));
    }
}
