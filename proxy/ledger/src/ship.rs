//! From the host's ledger to the record store.

use std::error::Error as _;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutPayload};
use tracing::info;

use crate::{
    Host, Key, KeyError, Record, RecordStore, SegmentName, StoreAnswer, StoreError, UserId,
    WhoError, WriteError, Writer, line,
};

/// Ships sealed segments. An object is the segment as it is, under a name that follows from it, and
/// is only ever created: so a round may be broken off at any point and done again.
#[derive(Clone, Debug)]
pub struct Shipper {
    writer: Writer,
}

/// What one round did.
#[derive(Debug, Default)]
pub struct Round {
    /// Segments that are in the store now.
    pub shipped: usize,
    /// Those that are not.
    pub pending: usize,
    /// Of those, the ones that no later round ships either: somebody has to look at them.
    pub stuck: usize,
    /// The time of the oldest record that is not in the store, of those that were looked at.
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
    /// There is no store to put it into.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not known under whose name it goes.
    #[error(transparent)]
    Who(#[from] WhoError),
    /// It has no name in the store: this host has not yet learnt who it is, or the segment is
    /// damaged.
    #[error("{segment} has no name in the record store")]
    Key {
        /// The segment.
        segment: SegmentName,
        /// What is missing for it.
        source: KeyError,
    },
    /// The store refused it: this host may not write it there.
    #[error("cannot put {key}: let the bucket's policy allow it, if that is this host's name")]
    Denied {
        /// Its name in the store.
        key: Box<Key>,
        /// What the store said.
        source: StoreAnswer,
    },
    /// The store did not take it.
    #[error("cannot put {key}")]
    Put {
        /// Its name in the store.
        key: Box<Key>,
        /// What the store said.
        source: StoreAnswer,
    },
    /// Something else is there under its name: this ledger was lost and begun anew, or somebody
    /// wrote in this host's place.
    #[error("{key} holds something else: move the segment away once you know why")]
    Conflict {
        /// Its name in the store.
        key: Box<Key>,
    },
}

/// What is open is sealed to be shipped only while fewer segments than this are pending, those that are
/// stuck left out. Else a store that is closed to this host for days would make a file of every round,
/// and the ledger has room for so many only.
const PENDING: usize = 16;

impl Shipper {
    /// Ships what `writer` has.
    pub fn new(writer: Writer) -> Self {
        Self { writer }
    }

    /// Ships every segment that is not in the store, the oldest first, and then what is open.
    ///
    /// `open` is asked for the store once there is something to ship. `home` names the segments that
    /// were written before the host knew who it is.
    pub async fn round<Opening>(&self, home: &Host, open: impl Fn() -> Opening) -> Round
    where
        Opening: Future<Output = Result<RecordStore, StoreError>>,
    {
        let mut rounding = Rounding {
            writer: &self.writer,
            home,
            open,
            store: None,
            round: Round::default(),
        };
        if let Err(error) = rounding.run().await {
            rounding.round.errors.push(error);
        }
        rounding.round
    }
}

/// A round under way.
struct Rounding<'a, F> {
    writer: &'a Writer,
    home: &'a Host,
    open: F,
    /// The store, and the name to write under there where the host's own will not do.
    store: Option<(RecordStore, Option<UserId>)>,
    round: Round,
}

impl<F, Opening> Rounding<'_, F>
where
    F: Fn() -> Opening,
    Opening: Future<Output = Result<RecordStore, StoreError>>,
{
    async fn run(&mut self) -> Result<(), ShipError> {
        let sealed = self.writer.sealed().await?;
        self.ship_all(&sealed).await?;
        if self.round.pending - self.round.stuck < PENDING {
            let mut new = self.writer.seal().await?;
            new.retain(|segment| !sealed.contains(segment));
            self.ship_all(&new).await?;
        }
        Ok(())
    }

    /// An error is one that the next segment would meet too.
    async fn ship_all(&mut self, segments: &[SegmentName]) -> Result<(), ShipError> {
        for (at, segment) in segments.iter().enumerate() {
            match self.ship(segment).await {
                Ok(()) => self.round.shipped += 1,
                Err(error) if error.is_outage() => {
                    self.round.pending += segments.len() - at;
                    return Err(error);
                }
                Err(error) => {
                    self.round.pending += 1;
                    self.round.stuck += usize::from(error.is_stuck(self.home));
                    self.round.errors.push(error);
                }
            }
        }
        Ok(())
    }

    async fn ship(&mut self, segment: &SegmentName) -> Result<(), ShipError> {
        let bytes = self.writer.read(segment.clone()).await?;
        let first = line::decode_all(&bytes).find_map(|(_, record)| record.ok());
        let time = first.as_ref().map(|record| record.time);
        let shipped = self.put(segment, first, bytes).await;
        if shipped.is_err() {
            self.round.oldest = [self.round.oldest, time].into_iter().flatten().min();
        }
        shipped
    }

    async fn put(
        &mut self,
        segment: &SegmentName,
        first: Option<Record>,
        bytes: Vec<u8>,
    ) -> Result<(), ShipError> {
        let (store, user) = match &mut self.store {
            Some(opened) => opened,
            none => {
                let store = (self.open)().await?;
                let user = store.user().await?;
                none.insert((store, user))
            }
        };
        let key = key_of(first, self.home, user.as_ref()).map_err(|source| ShipError::Key {
            segment: segment.clone(),
            source,
        })?;
        store.put(&key, bytes).await?;
        Ok(self.writer.shipped(segment.clone()).await?)
    }
}

impl RecordStore {
    async fn put(&self, key: &Key, bytes: Vec<u8>) -> Result<(), ShipError> {
        let path = Path::from(key.to_string());
        let payload = PutPayload::from(bytes);
        let put = self
            .objects
            .put_opts(&path, payload.clone(), PutMode::Create.into());
        // Perhaps an earlier try arrived, and only its answer was lost; or it is not ours.
        let there = match put.await {
            Ok(_) => return Ok(()),
            Err(error @ Error::AlreadyExists { .. }) => error,
            Err(error) => return Err(refused(key, &error)),
        };
        match self.holds(&path, &payload).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ShipError::Conflict {
                key: Box::new(key.clone()),
            }),
            // A host need not be able to read the store. Then the name has to do, where the store has
            // it for sure: S3 answers 412 then, and 409 while somebody else's try is under way (S3 User
            // Guide, "How to prevent object overwrites with conditional writes").
            Err(Error::PermissionDenied { .. }) if is_precondition(&there) => {
                info!(%key, "the store has it already, and this host may not compare it");
                Ok(())
            }
            Err(Error::PermissionDenied { .. }) => Err(refused(key, &there)),
            Err(error) => Err(refused(key, &error)),
        }
    }

    async fn holds(&self, path: &Path, payload: &PutPayload) -> Result<bool, Error> {
        let found = self.objects.get(path).await?;
        if found.meta.size != payload.content_length() as u64 {
            return Ok(false);
        }
        let chunks: Vec<_> = found.into_stream().try_collect().await?;
        Ok(chunks.iter().flatten().eq(payload.iter().flatten()))
    }
}

impl ShipError {
    /// Whether no later round ships this segment either. One without a name does not get one later where
    /// the host knows itself, `home`, already.
    fn is_stuck(&self, home: &Host) -> bool {
        let itself = [&home.account, &home.region, &home.instance_id];
        match self {
            Self::Conflict { .. } => true,
            Self::Key { .. } => itself.iter().all(|known| !known.is_empty()),
            Self::Ledger(_)
            | Self::Store(_)
            | Self::Who(_)
            | Self::Denied { .. }
            | Self::Put { .. } => false,
        }
    }

    /// Whether the next segment would fare no better.
    fn is_outage(&self) -> bool {
        match self {
            Self::Store(_) | Self::Who(_) | Self::Put { .. } => true,
            Self::Ledger(_) | Self::Key { .. } | Self::Denied { .. } | Self::Conflict { .. } => {
                false
            }
        }
    }
}

fn key_of(first: Option<Record>, home: &Host, user: Option<&UserId>) -> Result<Key, KeyError> {
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
    Key::of(&first, user.and_then(UserId::role_id))
}

fn is_precondition(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    matches!(
        source,
        Some(Error::Precondition { .. } | Error::NotModified { .. })
    )
}

fn refused(key: &Key, error: &Error) -> ShipError {
    let key = Box::new(key.clone());
    let source = StoreAnswer::from(error);
    match error {
        Error::PermissionDenied { .. } => ShipError::Denied { key, source },
        _ => ShipError::Put { key, source },
    }
}
