//! Requests for records that wait at the same time, and become durable together.

use crate::writer::Reply;
use crate::{Index, Kind, Receipt, Record, Standing, WriteError};

/// What of the waiting requests has to be written, and who waits for what of it.
#[derive(Debug, Default)]
pub(crate) struct Group {
    news: Vec<Record>,
    /// The same, as the index will have them.
    next: Index,
    waiting: Vec<(Reply<Receipt>, Due)>,
}

/// When a request can be answered.
#[derive(Debug)]
enum Due {
    /// At once: nothing is written for it.
    Now(Receipt),
    /// When the record at this place of `news` is durable. It is the request's own.
    Own(usize),
    /// The same. It says the same as this request, and came before it.
    Earlier(usize),
}

impl Group {
    /// Adds a request for `record`. `index` has what is on record before this group.
    pub(crate) fn add(&mut self, mut record: Record, reply: Reply<Receipt>, index: &Index) {
        let (key, consumer) = (&record.access_key_id, &record.consumer);
        let due = match index.standing_after(&self.next, key, consumer) {
            Standing::Crowded => Due::Now(Receipt::Crowded),
            Standing::Known => {
                let same = |other: &Record| {
                    other.access_key_id == *key && consumer.is_said_by(&other.consumer)
                };
                let earlier = self.news.iter().position(same);
                earlier.map_or(Due::Now(Receipt::Known), Due::Earlier)
            }
            standing => {
                record.kind = match standing {
                    Standing::New => Kind::Issued,
                    _ => Kind::Consumer,
                };
                self.next.insert(&record, record.time);
                self.news.push(record);
                Due::Own(self.news.len() - 1)
            }
        };
        self.waiting.push((reply, due));
    }

    /// What has to be written, in the order of arrival.
    pub(crate) fn news(&self) -> &[Record] {
        &self.news
    }

    /// Answers everybody. `written` are the first of the news, durable, as they were written; where
    /// that is not all of them, `failure` is why.
    pub(crate) fn answer(self, written: &[Record], failure: Option<&WriteError>) {
        let failed = || failure.cloned().unwrap_or(WriteError::Closed);
        for (reply, due) in self.waiting {
            let durable = |at: usize| written.get(at).ok_or_else(failed);
            let answer = match due {
                Due::Now(receipt) => Ok(receipt),
                Due::Own(at) => durable(at).map(|it| Receipt::Written(Box::new(it.clone()))),
                Due::Earlier(at) => durable(at).map(|_| Receipt::Known),
            };
            // Whose request was given up does not wait any more.
            let _ = reply.send(answer);
        }
    }
}
