//! The files of a ledger and their names.

use std::fmt;
use std::str::FromStr;

use crate::{BootId, KeyError};

/// The name of one file of a ledger: `BOOT-SEQ.open`, `.jsonl` or `.shipped`, where `SEQ` is the
/// sequence number of the first record in it. But for its state it is the last part of its
/// [`Key`](crate::Key).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentName {
    pub(crate) boot: BootId,
    pub(crate) seq: u64,
    pub(crate) state: State,
}

/// How far a segment has come. It only ever moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum State {
    /// Records are appended to it.
    Open,
    /// Immutable; what it holds is what will be shipped.
    Sealed,
    /// In the record store; kept here as this host's history.
    Shipped,
}

impl SegmentName {
    /// The same segment in another state.
    pub(crate) fn to(&self, state: State) -> Self {
        let Self { boot, seq, .. } = self.clone();
        Self { boot, seq, state }
    }
}

impl State {
    const ALL: [Self; 3] = [Self::Open, Self::Sealed, Self::Shipped];

    fn extension(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "jsonl",
            Self::Shipped => "shipped",
        }
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { boot, seq, state } = self;
        write!(f, "{boot}-{seq:020}.{}", state.extension())
    }
}

impl FromStr for SegmentName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let error = KeyError { part: "file name" };
        let (stem, extension) = text.split_once('.').ok_or(error.clone())?;
        let mut states = State::ALL.into_iter();
        let state = states.find(|s| s.extension() == extension);
        let (boot, seq) = stem.rsplit_once('-').ok_or(error.clone())?;
        let name = Self {
            boot: boot.parse()?,
            seq: seq.parse().map_err(|_| error.clone())?,
            state: state.ok_or(error.clone())?,
        };
        if name.to_string() == text {
            Ok(name)
        } else {
            Err(error)
        }
    }
}
