//! Holds back the first credential of a role on this host until the role's pin admits the host.
//!
//! A pin that does not know a host yet denies its calls, and a program that starts with that may not
//! recover. What the pin admits, the controller publishes in the record store ([`Admission`]). The
//! host reads it there with its own credentials, which that pin may deny as well: a read that is
//! denied means "not yet", as do a store that does not answer, and an object that is not there or is
//! of no use. So the gate opens on good news only, or when `launch-gate.wait` is over.
//!
//! It is no guard: an object can shorten a wait or lengthen it up to `wait`, and nothing goes out for
//! it that would not go out without a gate.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use credpin_ledger::{Admission, Consumer, History, ObjectError, RecordStore, StoreError, Unfit};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::AfterWait;
use crate::describe::Describer;
use crate::flight::Flight;
use crate::jitter::jittered;
use crate::metrics::Metrics;
use crate::records::Records;
use crate::throttle::Throttle;
use crate::upstream::UpstreamError;

/// The gate, for all roles.
#[derive(Clone)]
pub(crate) struct LaunchGate(Arc<Inner>);

/// What the gate works with.
pub(crate) struct Inner {
    pub(crate) wait: Duration,
    pub(crate) then: AfterWait,
    /// How old what is published may be.
    pub(crate) max_age: Option<Duration>,
    /// Where it is on record what was handed out before.
    pub(crate) ledger: PathBuf,
    pub(crate) records: Records,
    pub(crate) describer: Describer,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    pub(crate) roles: Mutex<HashMap<String, Arc<Role>>>,
    /// Open while a role waits: the roots of TLS alone take megabytes.
    pub(crate) store: tokio::sync::Mutex<Option<RecordStore>>,
}

/// A role that has been asked for.
pub(crate) struct Role {
    name: String,
    /// When it was first.
    asked: Instant,
    open: AtomicBool,
    /// The next look is due then.
    due: Mutex<Instant>,
    look: Flight<bool>,
    lines: Throttle,
}

/// What becomes of a credential at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It goes out.
    AtOnce,
    /// One may go out, and by now there may be a newer one.
    Later,
    /// None may go out for now.
    Refused,
}

/// Why a host is not known to be admitted.
#[derive(Debug, thiserror::Error)]
enum NotYet {
    #[error("the metadata service does not say which host this is")]
    Nameless,
    #[error("the metadata service does not say which addresses this host has")]
    Addresses(#[from] UpstreamError),
    #[error("the record store cannot be opened")]
    Store(#[from] StoreError),
    /// It does not answer, or the pin denies this very call.
    #[error("what the pin admits cannot be read")]
    Unread(#[from] ObjectError),
    #[error("nothing is published about the role")]
    Unpublished,
    #[error("what is published about the role is of no use")]
    Unfit(#[from] Unfit),
    #[error(
        "what is published about the role is of {0}, longer ago than launch-gate.max-age: has the controller \
         stopped publishing?"
    )]
    Old(Timestamp),
    #[error("the pin of the role does not admit this host")]
    NotAdmitted,
}

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a look may hold a request up once the time to wait is over.
const PATIENCE: Duration = Duration::from_millis(500);

impl LaunchGate {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Returns once a credential of `role` may go out, or may not for now.
    pub(crate) async fn pass(&self, role: &str) -> Passage {
        let role = self.role(role);
        if role.is_open() {
            return Passage::AtOnce;
        }
        let deadline = role.asked + self.0.wait;
        while !role.is_open() {
            if role.is_due() {
                let (inner, looked_for) = (Arc::clone(&self.0), Arc::clone(&role));
                let look = role.look.start(|| inner.look(looked_for));
                let until = deadline.max(Instant::now() + PATIENCE);
                if let Ok(Some(true)) = timeout_at(until, look.wait()).await {
                    break;
                }
            }
            let now = Instant::now();
            if now >= deadline {
                return if self.0.wait_is_over(&role) {
                    Passage::Later
                } else {
                    Passage::Refused
                };
            }
            sleep_until(deadline.min(now + jittered(PAUSE))).await;
        }
        Passage::Later
    }

    fn role(&self, name: &str) -> Arc<Role> {
        let now = Instant::now();
        let mut roles = lock(&self.0.roles);
        if let Some(role) = roles.get(name) {
            return Arc::clone(role);
        }
        let role = Arc::new(Role {
            name: name.to_owned(),
            asked: now,
            open: AtomicBool::new(false),
            due: Mutex::new(now),
            look: Flight::new(),
            lines: Throttle::default(),
        });
        roles.insert(name.to_owned(), Arc::clone(&role));
        role
    }
}

impl Inner {
    /// Whether the role is admitted now. If so it stays open.
    async fn look(self: Arc<Self>, role: Arc<Role>) -> bool {
        let outcome = if self.has_been_before(&role.name).await {
            "before"
        } else {
            match self.is_admitted(&role.name).await {
                Ok(()) => "admitted",
                Err(why) => {
                    *lock(&role.due) = Instant::now() + PAUSE;
                    role.tell(&why);
                    return false;
                }
            }
        };
        *self.store.lock().await = None;
        if role.opens() {
            self.metrics.launch_gate(outcome);
            info!(role = role.name, outcome, "the launch gate is open");
        }
        true
    }

    /// Whether the ledger knows of a credential of the role that went to anybody but the proxy itself:
    /// then the host was launched before, and its programs run.
    async fn has_been_before(&self, role: &str) -> bool {
        let (dir, role) = (self.ledger.clone(), role.to_owned());
        let reading = tokio::task::spawn_blocking(move || {
            let history = History::read(&dir).unwrap_or_default();
            let mut records = history.records.into_iter();
            records.any(|record| record.role == role && !is_own(&record.consumer))
        });
        reading.await.unwrap_or(false)
    }

    async fn is_admitted(&self, role: &str) -> Result<(), NotYet> {
        let host = self.describer.host(self.clock.now()).await;
        if host.instance_id.is_empty() || host.account.is_empty() {
            return Err(NotYet::Nameless);
        }
        let reach = self.describer.reach(&host).await?;
        let kept = &mut *self.store.lock().await;
        let store = match kept {
            Some(store) => store,
            None => kept.insert(self.records.open(&host).await?),
        };
        let name = Admission::name(&host.account, role);
        let bytes = store.get_object(&name).await?;
        let bytes = bytes.ok_or(NotYet::Unpublished)?;
        let admission = Admission::read(&bytes, &host.account, role)?;
        if self.is_old(&admission) {
            return Err(NotYet::Old(admission.made));
        }
        if admission.admits(&host, &reach) {
            Ok(())
        } else {
            Err(NotYet::NotAdmitted)
        }
    }

    /// Whether nobody knows any more whether it is so.
    fn is_old(&self, admission: &Admission) -> bool {
        let age = self.clock.now().duration_since(admission.made);
        let most = self.max_age.map(SignedDuration::try_from);
        most.and_then(Result::ok).is_some_and(|most| age > most)
    }

    /// What becomes of who has waited long enough.
    fn wait_is_over(&self, role: &Role) -> bool {
        let serve = self.then == AfterWait::Serve;
        if serve && role.opens() {
            self.metrics.launch_gate("served");
            warn!(
                role = role.name,
                "the launch gate opens although the role's pin is not known to admit this host: \
                 its calls may be denied"
            );
        }
        if !serve {
            self.metrics.launch_gate("refused");
        }
        serve
    }
}

impl Role {
    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Opens it, and whether it was not yet.
    fn opens(&self) -> bool {
        !self.open.swap(true, Ordering::Relaxed)
    }

    fn is_due(&self) -> bool {
        *lock(&self.due) <= Instant::now()
    }

    fn tell(&self, why: &NotYet) {
        if let Some(left_out) = self.lines.pass(Instant::now()) {
            warn!(
                role = self.name,
                left_out,
                error = why as &dyn std::error::Error,
                "the launch gate holds the first credential of a role"
            );
        }
    }
}

/// Whether it is the proxy itself, which signs what it ships.
#[cfg(feature = "s3")]
fn is_own(consumer: &Consumer) -> bool {
    *consumer == crate::own_role::this_process()
}

#[cfg(not(feature = "s3"))]
fn is_own(_: &Consumer) -> bool {
    false
}

/// No panic can leave it half changed, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
