//! Which credentials are on record already, and for whom.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::{Consumer, Record};

/// What the ledger holds, in memory, as long as it matters: each live credential and the consumers
/// that it was handed to. Forgetting costs a second record of the same thing, never a lost one.
#[derive(Debug, Default)]
pub struct Index {
    keys: HashMap<String, Known>,
    swept: Option<Timestamp>,
}

#[derive(Debug)]
struct Known {
    until: Timestamp,
    /// None of them is said by one before it ([`Consumer::is_said_by`]).
    consumers: Vec<Consumer>,
}

/// Kept after a credential expired, or was last recorded: in an outage IMDS serves expired ones
/// (AWS, "Instance metadata and user data"), and each request would be news again.
const GRACE: SignedDuration = SignedDuration::from_hours(1);
const SWEEP: SignedDuration = SignedDuration::from_mins(1);
/// Consumers recorded of one credential, and so remembered of it. Addresses cost an attacker on the
/// host or in a container nothing: without a bound, records of them would fill the disk.
const CONSUMERS: usize = 256;
/// The same for each user of the host and of each container, so that one of them does not use up
/// the room of all: whoever may start units has as many names of units as they like.
const CONSUMERS_OF_A_USER: usize = 16;

/// How a credential and a consumer stand to what is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The credential is not on record, for anybody.
    New,
    /// The credential is, but not for this consumer.
    NewConsumer,
    /// Both are.
    Known,
    /// The credential is, and for so many that no further consumer of it is recorded, or none of this
    /// user.
    Crowded,
}

impl Index {
    /// How this credential and `consumer` stand.
    pub fn standing(&self, access_key_id: &str, consumer: &Consumer) -> Standing {
        standing([self.keys.get(access_key_id), None], consumer)
    }

    /// How they will stand once what is in `next` is on record too.
    pub(crate) fn standing_after(
        &self,
        next: &Self,
        access_key_id: &str,
        consumer: &Consumer,
    ) -> Standing {
        let known = [self, next].map(|index| index.keys.get(access_key_id));
        standing(known, consumer)
    }

    /// Notes a record that is durable, at the time `now`.
    pub fn insert(&mut self, record: &Record, now: Timestamp) {
        self.sweep(now);
        let until = record.expires.max(record.time).saturating_add(GRACE);
        let until = until.unwrap_or(Timestamp::MAX);
        if until < now {
            return;
        }
        let known = self.keys.entry(record.access_key_id.clone());
        let known = known.or_insert_with(|| Known {
            until,
            consumers: Vec::new(),
        });
        known.until = known.until.max(until);
        if let Standing::New | Standing::NewConsumer =
            standing([Some(known), None], &record.consumer)
        {
            known.consumers.push(record.consumer.clone());
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        let recent = |swept| now.duration_since(swept).abs() < SWEEP;
        if !self.swept.is_some_and(recent) {
            self.swept = Some(now);
            self.keys.retain(|_, known| known.until >= now);
        }
    }
}

/// In so short a list looking at each is as quick as anything.
fn standing(known: [Option<&Known>; 2], consumer: &Consumer) -> Standing {
    let known = || known.into_iter().flatten();
    let consumers = || known().flat_map(|known| &known.consumers);
    // All who are known by their address alone would be one user.
    let is_user = consumer.uid.is_some() || consumer.container.is_some();
    let of_user = |other: &&Consumer| {
        is_user && other.uid == consumer.uid && other.container == consumer.container
    };
    if consumers().any(|other| consumer.is_said_by(other)) {
        Standing::Known
    } else if consumers().count() >= CONSUMERS
        || consumers().filter(of_user).count() >= CONSUMERS_OF_A_USER
    {
        Standing::Crowded
    } else if known().next().is_some() {
        Standing::NewConsumer
    } else {
        Standing::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::tests::record;

    #[test]
    fn a_consumer_is_known_for_its_own_key_only() {
        let mut index = Index::default();
        let first = record("ASIA1", "2026-05-04T09:00:00Z");
        index.insert(&first, first.time);
        let standing = |key, consumer| index.standing(key, consumer);
        assert_eq!(standing("ASIA1", &first.consumer), Standing::Known);
        assert_eq!(standing("ASIA2", &first.consumer), Standing::New);
        let mut other = first.consumer.clone();
        other.peer = [127, 0, 0, 2].into();
        assert_eq!(standing("ASIA1", &other), Standing::NewConsumer);
    }

    #[test]
    fn a_credential_has_so_many_consumers_and_no_more() {
        let mut index = Index::default();
        let mut record = record("ASIA1", "2026-05-04T09:00:00Z");
        let first = record.consumer.clone();
        for n in 0..1000u32 {
            record.consumer.peer = std::net::Ipv4Addr::from(n).into();
            index.insert(&record, record.time);
        }
        assert_eq!(index.standing("ASIA1", &first), Standing::Crowded);
        record.consumer.peer = [0, 0, 0, 7].into();
        assert_eq!(index.standing("ASIA1", &record.consumer), Standing::Known);
        assert_eq!(index.keys["ASIA1"].consumers.len(), CONSUMERS);
    }

    #[test]
    fn a_user_is_one_consumer_in_whatever_cgroup() {
        let mut index = Index::default();
        let mut record = record("ASIA1", "2026-05-04T09:00:00Z");
        record.consumer.uid = Some(1000);
        for n in 0..300 {
            record.consumer.cgroup = Some(format!("/user@1000.service/run-{n}.scope"));
            index.insert(&record, record.time);
        }
        assert_eq!(index.keys["ASIA1"].consumers.len(), 1);
        record.consumer.cgroup = None;
        assert_eq!(index.standing("ASIA1", &record.consumer), Standing::Known);
        record.consumer.unit = Some("app.service".to_owned());
        let standing = index.standing("ASIA1", &record.consumer);
        assert_eq!(standing, Standing::NewConsumer);
    }

    #[test]
    fn one_user_does_not_use_up_the_room_of_others() {
        let mut index = Index::default();
        let mut record = record("ASIA1", "2026-05-04T09:00:00Z");
        record.consumer.uid = Some(1000);
        for n in 0..300 {
            record.consumer.unit = Some(format!("session-{n}.scope"));
            index.insert(&record, record.time);
        }
        let of_user = index.keys["ASIA1"].consumers.len();
        assert_eq!(of_user, CONSUMERS_OF_A_USER);
        assert_eq!(index.standing("ASIA1", &record.consumer), Standing::Crowded);
        let mut contained = record.consumer.clone();
        contained.container = Some("docker:1".to_owned());
        assert_eq!(index.standing("ASIA1", &contained), Standing::NewConsumer);
        record.consumer.uid = Some(1001);
        let other = index.standing("ASIA1", &record.consumer);
        assert_eq!(other, Standing::NewConsumer);
    }

    #[test]
    fn a_program_is_one_consumer_even_if_it_was_not_found_once() {
        let mut index = Index::default();
        let mut record = record("ASIA1", "2026-05-04T09:00:00Z");
        record.consumer.exe = Some("/usr/bin/app".to_owned());
        index.insert(&record, record.time);
        let mut consumer = record.consumer.clone();
        consumer.exe = None;
        assert_eq!(index.standing("ASIA1", &consumer), Standing::Known);
        consumer.exe = Some("/usr/bin/other".to_owned());
        assert_eq!(index.standing("ASIA1", &consumer), Standing::NewConsumer);
        consumer.exe = None;
        consumer.uid = Some(7);
        assert_eq!(index.standing("ASIA1", &consumer), Standing::NewConsumer);
    }

    #[test]
    fn it_is_bounded_by_expiry() {
        let mut index = Index::default();
        for hour in 0..24 {
            let record = record(
                &format!("ASIA{hour}"),
                &format!("2026-05-04T{hour:02}:00:00Z"),
            );
            index.insert(&record, record.time);
        }
        // Six hours of life and one of grace.
        assert_eq!(index.keys.len(), 8);
        // What an old ledger holds is not taken in again.
        let old = record("ASIA0", "2026-05-04T00:00:00Z");
        index.insert(&old, "2026-05-05T00:00:00Z".parse().unwrap());
        assert_eq!(index.standing("ASIA0", &old.consumer), Standing::New);
    }

    #[test]
    fn an_expired_credential_is_news_once() {
        let mut index = Index::default();
        let mut record = record("ASIA1", "2026-05-04T09:00:00Z");
        record.time = "2026-05-04T20:00:00Z".parse().unwrap();
        index.insert(&record, record.time);
        assert_eq!(index.standing("ASIA1", &record.consumer), Standing::Known);
    }
}
