//! From the host's ledger to the record store.

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutPayload};

use crate::{Host, Key, KeyError, Record, RecordStore, SegmentName, WriteError, Writer, line};

/// Ships sealed segments. An object is the segment as it is, under a name that follows from it, and
/// is only ever created: so a round may be broken off at any point and done again.
#[derive(Clone, Debug)]
pub struct Shipper {
    writer: Writer,
    store: RecordStore,
}

/// What one round did.
#[derive(Debug, Default)]
pub struct Round {
    /// Segments that are in the store now.
    pub shipped: usize,
    /// Those that are not.
    pub pending: usize,
    /// The time of the oldest record that is not in the store.
    pub oldest: Option<Timestamp>,
    /// Why segments are pending, one each; the first that a whole store refused ends the round.
    pub errors: Vec<ShipError>,
}

/// A segment is not in the store.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The ledger would not give it.
    #[error("cannot take segments from the ledger")]
    Ledger(#[from] WriteError),
    /// It has no name in the store: this host has not yet learnt who it is, or the segment is
    /// damaged.
    #[error("{segment} has no name in the record store")]
    Key {
        /// The segment.
        segment: SegmentName,
        /// What is missing for it.
        source: KeyError,
    },
    /// The store refused it, or did not answer.
    #[error("cannot put {key}")]
    Put {
        /// Its name in the store.
        key: Box<Key>,
        /// Why.
        source: Box<Error>,
    },
    /// Something else is there under its name: this ledger was lost and begun anew, or somebody
    /// wrote in this host's place.
    #[error("{key} holds something else: move the segment away once you know why")]
    Conflict {
        /// Its name in the store.
        key: Box<Key>,
    },
}

impl Shipper {
    /// Ships what `writer` has to `store`.
    pub fn new(writer: Writer, store: RecordStore) -> Self {
        Self { writer, store }
    }

    /// Seals what is open and ships every segment that is not in the store. `home` names the
    /// segments that were written before the host knew who it is.
    pub async fn round(&self, home: &Host) -> Round {
        let mut round = Round::default();
        let segments = match self.writer.seal().await {
            Ok(segments) => segments,
            Err(error) => {
                round.errors.push(error.into());
                return round;
            }
        };
        let mut down = false;
        for segment in segments {
            let bytes = match self.writer.read(segment.clone()).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    round.pending += 1;
                    round.errors.push(error.into());
                    continue;
                }
            };
            let first = first_record(&bytes);
            let time = first.as_ref().map(|record| record.time);
            let result = if down {
                None
            } else {
                Some(self.ship(&segment, first, home, bytes).await)
            };
            if let Some(Ok(())) = result {
                round.shipped += 1;
                continue;
            }
            round.pending += 1;
            round.oldest = [round.oldest, time].into_iter().flatten().min();
            if let Some(Err(error)) = result {
                down = error.is_outage();
                round.errors.push(error);
            }
        }
        round
    }

    async fn ship(
        &self,
        segment: &SegmentName,
        first: Option<Record>,
        home: &Host,
        bytes: Vec<u8>,
    ) -> Result<(), ShipError> {
        let key = key_of(first, home).map_err(|source| ShipError::Key {
            segment: segment.clone(),
            source,
        })?;
        self.put(&key, bytes).await?;
        Ok(self.writer.shipped(segment.clone()).await?)
    }

    async fn put(&self, key: &Key, bytes: Vec<u8>) -> Result<(), ShipError> {
        let path = Path::from(key.to_string());
        let payload = PutPayload::from(bytes);
        let objects = &self.store.objects;
        let put = objects.put_opts(&path, payload.clone(), PutMode::Create.into());
        match put.await {
            Ok(_) => Ok(()),
            // An earlier try arrived, and only its answer was lost; or it is not ours. A host need
            // not be able to read the store: then its name has to do.
            Err(Error::AlreadyExists { .. }) => match self.same(&path, &payload).await {
                Ok(false) => Err(ShipError::Conflict {
                    key: Box::new(key.clone()),
                }),
                Ok(true) | Err(Error::PermissionDenied { .. }) => Ok(()),
                Err(source) => Err(put_error(key, source)),
            },
            Err(source) => Err(put_error(key, source)),
        }
    }

    async fn same(&self, path: &Path, payload: &PutPayload) -> Result<bool, Error> {
        let found = self.store.objects.get(path).await?;
        if found.meta.size != payload.content_length() as u64 {
            return Ok(false);
        }
        let chunks: Vec<_> = found.into_stream().try_collect().await?;
        Ok(chunks.iter().flatten().eq(payload.iter().flatten()))
    }
}

impl ShipError {
    /// Whether the next segment would fare no better.
    fn is_outage(&self) -> bool {
        match self {
            Self::Put { source, .. } => !matches!(**source, Error::PermissionDenied { .. }),
            Self::Ledger(_) | Self::Key { .. } | Self::Conflict { .. } => false,
        }
    }
}

fn first_record(bytes: &[u8]) -> Option<Record> {
    line::decode_all(bytes).find_map(|(_, record)| record.ok())
}

fn key_of(first: Option<Record>, home: &Host) -> Result<Key, KeyError> {
    let mut first = first.ok_or(KeyError { part: "record" })?;
    for (field, known) in [
        (&mut first.host.account, &home.account),
        (&mut first.host.region, &home.region),
        (&mut first.host.instance_id, &home.instance_id),
    ] {
        if field.is_empty() {
            field.clone_from(known);
        }
    }
    Key::of(&first, None)
}

fn put_error(key: &Key, source: Error) -> ShipError {
    ShipError::Put {
        key: Box::new(key.clone()),
        source: Box::new(source),
    }
}
