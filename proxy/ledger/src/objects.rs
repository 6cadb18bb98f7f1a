//! Small objects beside the records: what the controller keeps and publishes.

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutPayload};

use crate::{RecordStore, StoreAnswer};

/// An object could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {name} in the store")]
pub struct ObjectError {
    what: &'static str,
    name: String,
    source: StoreAnswer,
}

impl RecordStore {
    /// The contents of an object; none where there is no such object.
    pub async fn get_object(&self, name: &str) -> Result<Option<Vec<u8>>, ObjectError> {
        let answer = match self.objects.get(&Path::from(name)).await {
            Ok(object) => object.bytes().await,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => Err(error),
        };
        let bytes = answer.map_err(failed("read", name))?;
        Ok(Some(bytes.to_vec()))
    }

    /// Writes an object, in the place of one that is there.
    pub async fn put_object(&self, name: &str, contents: Vec<u8>) -> Result<(), ObjectError> {
        let payload = PutPayload::from(contents);
        let put = self.objects.put(&Path::from(name), payload).await;
        put.map(drop).map_err(failed("write", name))
    }

    /// Writes an object where there is none; whether it did. Of several who try at once one does.
    pub async fn create_object(&self, name: &str, contents: Vec<u8>) -> Result<bool, ObjectError> {
        let (path, payload) = (Path::from(name), PutPayload::from(contents));
        match self
            .objects
            .put_opts(&path, payload, PutMode::Create.into())
            .await
        {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(failed("create", name)(error)),
        }
    }

    /// Deletes an object. One that is not there is no error.
    pub async fn delete_object(&self, name: &str) -> Result<(), ObjectError> {
        match self.objects.delete(&Path::from(name)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("delete", name)(error)),
        }
    }

    /// The last parts of the names of the objects under `folder`, in order.
    pub async fn names_in(&self, folder: &str) -> Result<Vec<String>, ObjectError> {
        let objects = self.objects.list(Some(&Path::from(folder)));
        let objects: Vec<_> = objects
            .try_collect()
            .await
            .map_err(failed("list", folder))?;
        let mut names: Vec<String> = objects
            .iter()
            .filter_map(|object| object.location.filename().map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }
}

fn failed(what: &'static str, name: &str) -> impl Fn(Error) -> ObjectError {
    let name = name.to_owned();
    move |error| ObjectError {
        what,
        name: name.clone(),
        source: StoreAnswer::from(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, StoreUrl};

    #[tokio::test]
    async fn objects_are_created_once_read_replaced_listed_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::Directory(folder.path().to_owned());
        let store = RecordStore::open(&url, &Access::default()).unwrap();
        assert_eq!(store.get_object("state/v1/a").await.unwrap(), None);
        assert!(
            store
                .create_object("state/v1/a", b"1".to_vec())
                .await
                .unwrap()
        );
        assert!(
            !store
                .create_object("state/v1/a", b"2".to_vec())
                .await
                .unwrap()
        );
        assert_eq!(
            store.get_object("state/v1/a").await.unwrap(),
            Some(b"1".to_vec())
        );
        store.put_object("state/v1/a", b"3".to_vec()).await.unwrap();
        store.put_object("state/v1/b", b"4".to_vec()).await.unwrap();
        assert_eq!(store.names_in("state/v1").await.unwrap(), ["a", "b"]);
        store.delete_object("state/v1/a").await.unwrap();
        store.delete_object("state/v1/a").await.unwrap();
        assert_eq!(store.names_in("state/v1").await.unwrap(), ["b"]);
    }
}
