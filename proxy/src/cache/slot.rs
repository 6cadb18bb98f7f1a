//! What is kept of one path, and what becomes of it when the metadata service has spoken again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::DATE;
use hyper::body::Body;
use jiff::Timestamp;
use tokio::time::Instant;

use super::class::Class;
use super::said::{Held, Said, Trouble};
use crate::answer::Answer;
use crate::flight::Flight;
use crate::jitter::jittered;

/// What a request for a path is answered with.
#[derive(Clone)]
pub(crate) enum Found {
    /// Not before it is on record.
    Credential(Arc<Held>),
    /// As it is. The text is the outcome's name in the metrics.
    Answer(&'static str, Answer),
}

/// The place of one path.
pub(super) struct Slot {
    pub(super) class: Class,
    /// One request upstream at a time.
    pub(super) flight: Flight<Found>,
    state: Mutex<State>,
}

struct State {
    kept: Option<Found>,
    /// When the metadata service last said so.
    fetched: Instant,
    /// When it was last asked in vain.
    tried: Option<Instant>,
    /// When a client last asked.
    asked: Instant,
    /// When to look again without being asked.
    due: Option<Instant>,
}

/// What became of what was kept.
pub(super) enum Settled {
    /// It is what was said now, or nothing is kept.
    New,
    /// It stays, although this was said.
    Stays(Trouble),
    /// It stays, although a document says that there is none.
    StaysAgainstItsWord,
}

/// AWS makes new credentials available at least so long before the old ones expire (Amazon EC2 User
/// Guide, "Retrieve security credentials from instance metadata").
const OVERLAP: Duration = Duration::from_mins(5);
/// From then on, how often they are looked for at least.
const HURRY: Duration = Duration::from_secs(30);
/// How long no client has to wait again after one that waited in vain.
const SPARED: Duration = Duration::from_secs(5);
/// The longest pause. While a host hibernates, the clock that measures it stands still.
const LONGEST: Duration = Duration::from_mins(5);

impl Slot {
    pub(super) fn new(class: Class) -> Self {
        let now = Instant::now();
        let state = State {
            kept: None,
            fetched: now,
            tried: None,
            asked: now,
            due: None,
        };
        Self {
            class,
            flight: Flight::new(),
            state: Mutex::new(state),
        }
    }

    /// What is kept, if it can be answered with at `now` without asking. `fresh` is how long a role
    /// can. What may be out of date can for a while after nothing better was to be had.
    pub(super) fn current(&self, now: Timestamp, fresh: Duration) -> Option<Found> {
        let state = self.lock();
        let good = match &state.kept {
            Some(Found::Credential(held)) => now < held.expires(),
            _ => self.class != Class::Role || state.fetched.elapsed() < fresh,
        };
        let spared = || state.tried.is_some_and(|at| at.elapsed() < SPARED);
        state.kept.clone().filter(|_| good || spared())
    }

    /// What is kept, out of date or not.
    pub(super) fn kept(&self) -> Option<Found> {
        self.lock().kept.clone()
    }

    /// Notes that a client waited in vain for something newer.
    pub(super) fn tried(&self) {
        self.lock().tried = Some(Instant::now());
    }

    /// Notes that a client asks.
    pub(super) fn ask(&self) {
        self.lock().asked = Instant::now();
    }

    /// What a request is answered with once this was `said`, and what became of what was kept.
    pub(super) fn settle(&self, said: Said, now: Timestamp, recheck: Duration) -> (Found, Settled) {
        let mut state = self.lock();
        let kept = state.kept.take();
        let (found, keep, settled) = next(kept, said, now);
        state.kept = keep.then(|| found.clone());
        let expired = matches!(&state.kept, Some(Found::Credential(held)) if held.expires() <= now);
        let new = matches!(settled, Settled::New);
        if new {
            state.fetched = Instant::now();
        }
        state.tried = (!new || expired).then(Instant::now);
        state.due = match &state.kept {
            Some(Found::Credential(held)) => {
                Some(Instant::now() + pause(held.expires(), now, recheck))
            }
            _ => None,
        };
        (found, settled)
    }

    /// The credential that is kept.
    pub(super) fn credential(&self) -> Option<Arc<Held>> {
        match &self.lock().kept {
            Some(Found::Credential(held)) => Some(Arc::clone(held)),
            _ => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().kept.is_none()
    }

    /// Whether it keeps an answer with a longer body.
    pub(super) fn is_longer_than(&self, bytes: u64) -> bool {
        match &self.lock().kept {
            Some(Found::Answer(_, answer)) => answer.body().size_hint().lower() > bytes,
            _ => false,
        }
    }

    pub(super) fn asked(&self) -> Instant {
        self.lock().asked
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.lock().due
    }

    /// Somebody looks now; if nothing comes of it, again at `at`.
    pub(super) fn look_again(&self, at: Instant) {
        self.lock().due = Some(at);
    }

    /// No panic can leave it half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request is answered with, whether that is kept, and what became of what was.
///
/// What was kept gives way to what is there now, or to the word that nothing is. It stays when
/// nothing is known: it is then served with its own expiry, also after that, as the metadata service
/// itself does when its source is away; SDKs go on with it. An error document takes the place of a
/// credential only once that has expired.
fn next(kept: Option<Found>, said: Said, now: Timestamp) -> (Found, bool, Settled) {
    match (said, kept) {
        (Said::Credential(held), _) => (Found::Credential(held.into()), true, Settled::New),
        (Said::Content(mut answer), _) => {
            // It would be that of the first answer for ever; each answer gets its own.
            answer.headers_mut().remove(DATE);
            (Found::Answer("passed", answer), true, Settled::New)
        }
        (Said::Excuse(_), Some(Found::Credential(held))) if now < held.expires() => {
            let found = Found::Credential(held);
            (found, true, Settled::StaysAgainstItsWord)
        }
        (Said::Excuse(answer) | Said::No(answer), _) => {
            (Found::Answer("passed", answer), false, Settled::New)
        }
        (Said::Trouble(trouble), Some(kept)) => (kept, true, Settled::Stays(trouble)),
        (Said::Trouble(trouble), None) => {
            let (outcome, answer) = trouble.into_answer();
            (Found::Answer(outcome, answer), false, Settled::New)
        }
    }
}

/// How long to wait before a credential is looked for again: `recheck` or less, and not past the
/// time at which the next one is there.
fn pause(expires: Timestamp, now: Timestamp, recheck: Duration) -> Duration {
    let recheck = recheck.min(LONGEST);
    let left = Duration::try_from(expires.duration_since(now)).unwrap_or_default();
    match left.checked_sub(OVERLAP) {
        // Later than that by the same that other pauses are shorter: before, it is in vain.
        Some(until) if until < recheck => until + HURRY.saturating_sub(jittered(HURRY)),
        Some(_) => jittered(recheck),
        None => jittered(recheck.min(HURRY)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_kept_has_no_date_of_its_first_answer() {
        let mut answer = Answer::default();
        let date = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT");
        answer.headers_mut().insert(DATE, date);
        let (found, ..) = next(None, Said::Content(answer), Timestamp::UNIX_EPOCH);
        let Found::Answer(_, kept) = found else {
            panic!("an answer");
        };
        assert!(!kept.headers().contains_key(DATE));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waited_in_vain_spares_others_the_wait_for_a_while() {
        let (now, fresh) = (Timestamp::UNIX_EPOCH, Duration::from_mins(1));
        let slot = Slot::new(Class::Role);
        slot.settle(Said::Content(Answer::default()), now, fresh);
        let is_answered = || slot.current(now, fresh).is_some();
        assert!(is_answered());
        tokio::time::advance(fresh).await;
        assert!(!is_answered(), "it may be out of date");
        slot.tried();
        assert!(is_answered());
        tokio::time::advance(SPARED).await;
        assert!(!is_answered());
    }

    #[test]
    fn a_credential_is_looked_for_in_time_for_its_renewal() {
        let now = Timestamp::constant(1_800_000_000, 0);
        let pause = |left, recheck| {
            let expires = now + Duration::from_secs(left);
            pause(expires, now, Duration::from_secs(recheck)).as_secs_f64()
        };
        for _ in 0..100 {
            assert!((45.0..=60.0).contains(&pause(21_600, 60)));
            assert!((225.0..=300.0).contains(&pause(21_600, 3600)));
            // Renewed at 300 s before the end, and not rechecked only an hour later.
            assert!((100.0..=107.6).contains(&pause(400, 3600)));
            assert!((22.5..=30.0).contains(&pause(200, 3600)));
            assert!((7.5..=10.0).contains(&pause(200, 10)));
        }
        let after = super::pause(now, now + Duration::from_secs(9), Duration::from_hours(1));
        assert!(after <= HURRY, "expired already");
    }
}
