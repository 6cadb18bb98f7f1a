//! The numbers of a boot's records: which are there, and which are missing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Boot;

/// The numbers that are there, as ranges that do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence(Vec<Range>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Range {
    first: u64,
    last: u64,
    from: Timestamp,
    until: Timestamp,
}

/// Numbers that are missing: their records were lost, or have not come yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Whose.
    #[serde(flatten)]
    pub boot: Boot,
    /// The first that is missing.
    pub first: u64,
    /// The last that is missing.
    pub last: u64,
    /// They were made after this; nothing where it is not known.
    pub after: Option<Timestamp>,
    /// And before this.
    pub before: Timestamp,
    /// Whether they are missing for sure: the first records of a boot may be older than all that was
    /// read.
    pub certain: bool,
}

impl Sequence {
    /// Takes in the number of a record, and when it was made.
    pub fn add(&mut self, seq: u64, time: Timestamp) {
        self.put(Range {
            first: seq,
            last: seq,
            from: time,
            until: time,
        });
    }

    /// Takes in what other records tell.
    pub fn merge(&mut self, other: Self) {
        for range in other.0 {
            self.put(range);
        }
    }

    /// The last record's time; nothing where there is none.
    pub fn until(&self) -> Option<Timestamp> {
        self.0.iter().map(|range| range.until).max()
    }

    fn from(&self) -> Option<Timestamp> {
        self.0.iter().map(|range| range.from).min()
    }

    fn put(&mut self, mut new: Range) {
        let ranges = &mut self.0;
        let begin = ranges.partition_point(|range| range.last.saturating_add(1) < new.first);
        let end = ranges.partition_point(|range| range.first <= new.last.saturating_add(1));
        for range in &ranges[begin..end] {
            new.first = new.first.min(range.first);
            new.last = new.last.max(range.last);
            new.from = new.from.min(range.from);
            new.until = new.until.max(range.until);
        }
        ranges.splice(begin..end, [new]);
    }

    /// The numbers missing before the first, if there are any, and between the others.
    fn missing(&self) -> impl Iterator<Item = (u64, u64, Option<Timestamp>, Timestamp)> {
        let first = self.0.first().filter(|range| range.first > 1);
        let first = first.map(|range| (1, range.first - 1, None, range.from));
        let between = self.0.windows(2).map(|pair| {
            let (left, right) = (&pair[0], &pair[1]);
            (left.last + 1, right.first - 1, Some(left.until), right.from)
        });
        first.into_iter().chain(between)
    }
}

/// What is missing of all boots. `whole`: the records that were read are all that were ever made.
///
/// Where they are not, a boot's first numbers are missing for sure only if the host has an earlier
/// boot among them: else they may have been made before.
pub fn gaps(sequences: &BTreeMap<Boot, Sequence>, whole: bool) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for (boot, sequence) in sequences {
        let earlier = earlier(sequences, boot, sequence);
        gaps.extend(sequence.missing().map(|(first, last, after, before)| Gap {
            boot: boot.clone(),
            first,
            last,
            certain: whole || after.or(earlier).is_some(),
            after: after.or(earlier),
            before,
        }));
    }
    gaps
}

/// When the host's boot before this one made its last record.
fn earlier(
    sequences: &BTreeMap<Boot, Sequence>,
    boot: &Boot,
    sequence: &Sequence,
) -> Option<Timestamp> {
    let from = sequence.from()?;
    let any = Boot {
        boot: String::new(),
        ..boot.clone()
    };
    let of_host = |other: &Boot| {
        (&other.account, &other.region, &other.instance)
            == (&boot.account, &boot.region, &boot.instance)
    };
    sequences
        .range(any..)
        .take_while(|(other, _)| of_host(other))
        .filter(|(other, _)| *other != boot)
        .filter_map(|(_, sequence)| sequence.until())
        .filter(|until| *until <= from)
        .max()
}
