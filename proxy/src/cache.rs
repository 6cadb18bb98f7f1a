//! What the metadata service said, kept for as long as it is true.
//!
//! ```text
//! class.rs  what may be kept, told by the path
//! said.rs   what an answer means
//! slot.rs   what is kept of one path, and what becomes of it
//! ```
//!
//! Only requests in a session are answered from here: one without goes upstream, so that
//! `HttpTokens = required` means what it says.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, warn};

use self::slot::{Settled, Slot};
use crate::answer;
use crate::clock::Clock;
use crate::flight::Landing;
use crate::metrics::Metrics;
use crate::path::CanonicalPath;
use crate::throttle::Throttle;
use crate::upstream::{Lane, Upstream};

mod class;
mod said;
mod slot;

pub(crate) use class::Class;
pub(crate) use said::{Held, Said, Trouble};
pub(crate) use slot::Found;

/// What is kept. Clones share it.
#[derive(Clone)]
pub(crate) struct Cache(Arc<Inner>);

struct Inner {
    upstream: Upstream,
    metrics: Metrics,
    clock: Clock,
    recheck: Duration,
    slots: Mutex<HashMap<CanonicalPath, Arc<Slot>>>,
    /// The log lines about what goes wrong upstream.
    troubles: Throttle,
    /// A slot has another time at which it is due.
    due: Notify,
}

/// Of each class: who asks for one thing in many ways (versions, trailing slashes) fills no more.
const KEPT: usize = 64;
/// Longer than what is constant anywhere, but for user data, which is not.
const MAX_CONTENT: u64 = 8 << 10;
/// A credential that nobody asked for in this time is dropped. SDKs ask again shortly before it
/// expires, after six hours.
const UNUSED: Duration = Duration::from_hours(8);
/// What a client waits for a word about what is kept already. SDKs give a request one second.
const MOMENT: Duration = Duration::from_millis(250);

impl Cache {
    pub(crate) fn new(
        upstream: Upstream,
        metrics: Metrics,
        clock: Clock,
        recheck: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            upstream,
            metrics,
            clock,
            recheck,
            slots: Mutex::default(),
            troubles: Throttle::default(),
            due: Notify::new(),
        }))
    }

    /// What is at `path`. However many ask for what is not kept, the metadata service is asked once.
    /// What is kept but may be out of date is the answer if there is no other in a moment.
    pub(crate) async fn get(&self, path: &CanonicalPath, class: Class) -> Found {
        let slot = self.slot(path, class);
        slot.ask();
        if let Some(found) = slot.current(self.0.clock.now(), self.0.recheck) {
            self.0.metrics.cached(class.name(), "hit");
            return found;
        }
        self.0.metrics.cached(class.name(), "miss");
        // Seldom needed, and large: in a box it takes no room in what answers every request.
        Box::pin(self.get_anew(path, &slot)).await
    }

    async fn get_anew(&self, path: &CanonicalPath, slot: &Arc<Slot>) -> Found {
        let (kept, landing) = (slot.kept(), self.fetch(path, slot, false).wait());
        let landed = match kept {
            None => landing.await,
            Some(kept) => {
                let newer = timeout(MOMENT, landing).await.ok().flatten();
                newer.or_else(|| {
                    slot.tried();
                    Some(kept)
                })
            }
        };
        landed.unwrap_or_else(|| {
            let answer = answer::error(StatusCode::SERVICE_UNAVAILABLE);
            Found::Answer("upstream-failed", answer)
        })
    }

    /// Looks again for each credential before it is too late. Runs until it is dropped.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            let next = self.lock().values().filter_map(|slot| slot.due()).min();
            let due = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.recheck(Instant::now()),
                () = self.0.due.notified() => {}
            }
        }
    }

    /// Looks again for what is due at `now`, and drops what nobody uses.
    fn recheck(&self, now: Instant) {
        let mut due = Vec::new();
        self.lock().retain(|path, slot| {
            let is_due = slot.due().is_some_and(|at| at <= now);
            let unused = is_due && now.duration_since(slot.asked()) >= UNUSED;
            if is_due && !unused {
                slot.look_again(now + self.0.recheck);
                due.push((path.clone(), Arc::clone(slot)));
            }
            !unused
        });
        for (path, slot) in due {
            // It goes on without anybody who waits for it.
            drop(self.fetch(&path, &slot, true));
        }
    }

    /// Looks again for what is kept of `path`, now.
    #[cfg(test)]
    pub(crate) async fn look_again(&self, path: &CanonicalPath) {
        let slot = self.slot(path, Class::of(path));
        self.fetch(path, &slot, true).wait().await;
    }

    /// Says in the metrics how long each credential is good yet.
    pub(crate) fn tell(&self) {
        let now = self.0.clock.now();
        let held: Vec<_> = self.lock().values().map(|slot| slot.credential()).collect();
        let held = held.into_iter().flatten();
        let left = held.map(|held| {
            let left = held.expires().duration_since(now).as_secs();
            (held.role.clone(), left)
        });
        self.0.metrics.set_credentials(left);
    }

    /// To the log and the metrics. In an outage there is one with each request.
    pub(crate) fn tell_of(&self, trouble: &Trouble) {
        match trouble {
            Trouble::Upstream(error) => self.0.metrics.upstream_failure(error.kind()),
            Trouble::Status(_) => return,
            Trouble::Unreadable(_) => {
                self.0.metrics.unreadable.inc();
            }
        }
        let Some(left_out) = self.0.troubles.pass(Instant::now()) else {
            return;
        };
        match trouble {
            Trouble::Upstream(error) => {
                let error: &dyn Error = error;
                warn!(error, left_out, "no answer from the metadata service");
            }
            Trouble::Unreadable(why) => error!(
                why,
                left_out, "a credential document is not understood, and not given out"
            ),
            Trouble::Status(_) => {}
        }
    }

    /// Asks the metadata service, unless somebody does already or has just done so.
    fn fetch(&self, path: &CanonicalPath, slot: &Arc<Slot>, again: bool) -> Landing<Found> {
        slot.flight.start(|| {
            let (cache, path, slot) = (self.clone(), path.clone(), Arc::clone(slot));
            async move {
                match slot.current(cache.0.clock.now(), cache.0.recheck) {
                    Some(found) if !again => found,
                    _ if again => cache.ask(&path, &slot, Lane::Own).await,
                    _ => cache.ask(&path, &slot, Lane::Client).await,
                }
            }
        })
    }

    async fn ask(&self, path: &CanonicalPath, slot: &Arc<Slot>, lane: Lane) -> Found {
        let role = path.credential().map(|name| name.to_string());
        let said = Said::of(role, self.0.upstream.get(path, lane).await);
        if let Said::Trouble(trouble) = &said {
            self.tell_of(trouble);
        }
        let (found, settled) = slot.settle(said, self.0.clock.now(), self.0.recheck);
        match settled {
            Settled::New => {}
            Settled::Stays(trouble) => {
                let (trouble, class): (&dyn Error, _) = (&trouble, slot.class.name());
                warn!(error = trouble, class, "what is cached stays as it is");
            }
            Settled::StaysAgainstItsWord => error!(
                "the metadata service has no credentials now: those that are cached, which have not expired, stay"
            ),
        }
        self.tidy(path, slot);
        self.0.due.notify_one();
        found
    }

    fn slot(&self, path: &CanonicalPath, class: Class) -> Arc<Slot> {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(path) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot::new(class));
        slots.insert(path.clone(), Arc::clone(&slot));
        slot
    }

    /// A slot that keeps nothing goes; and if there are too many, the one that was not asked for for
    /// the longest time.
    fn tidy(&self, path: &CanonicalPath, slot: &Arc<Slot>) {
        let mut slots = self.lock();
        if slot.is_empty() || slot.is_longer_than(MAX_CONTENT) {
            if slots
                .get(path)
                .is_some_and(|other| Arc::ptr_eq(other, slot))
            {
                slots.remove(path);
            }
            return;
        }
        let alike = slots
            .iter()
            .filter(|(_, other)| other.class == slot.class && !other.is_empty());
        if alike.clone().count() > KEPT
            && let Some((path, _)) = alike.min_by_key(|(_, other)| other.asked())
        {
            let path = path.clone();
            slots.remove(&path);
        }
    }

    /// No panic can leave it half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<CanonicalPath, Arc<Slot>>> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
