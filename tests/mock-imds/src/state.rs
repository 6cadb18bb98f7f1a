//! The state of a mock, and what a test may change and ask about it.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};

use crate::aemm::Fidelity;
use crate::credential::{CredentialError, Delivery, Issued, Issuer};
use crate::derive::Key;
use crate::fault::{Fault, FaultSpec, FaultStatus, Faults};
use crate::hop_limit::HopLimit;
use crate::host::Host;
use crate::identity::Signer;
use crate::metadata::tree;
use crate::notice::{Audience, Notices, Place};
use crate::path::Path;
use crate::respond::{Peer, Request};
use crate::ring::Ring;
use crate::schedule::Schedule;
use crate::session::Sessions;
use crate::tree::{Directory, Leaf};

/// How many requests are remembered.
const REMEMBERED: usize = 4096;

/// How a mock starts out.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The host that it describes.
    pub host: Host,
    /// Whether a request without a session token is refused (`HttpTokens: required`).
    pub imdsv2_only: bool,
    /// Whether every request is answered with 403 (`HttpEndpoint: disabled`).
    pub disabled: bool,
    /// How many hops the answer to a PUT for a token gets (`HttpPutResponseHopLimit`; EC2's default is
    /// 1); absent: as many as any other packet of this machine.
    pub hop_limit: Option<HopLimit>,
    /// Whether a connection may be used again. The real service closes each after one answer.
    pub keep_alive: bool,
    /// Makes tokens and credentials the same on every run. Without it nobody can guess them.
    pub seed: Option<u64>,
    /// When credentials expire and are renewed.
    pub schedule: Schedule,
    /// What goes wrong from the start, set in this order.
    pub faults: Vec<FaultSpec>,
    /// Whom it resembles.
    pub fidelity: Fidelity,
    /// What the host is told beforehand.
    pub notices: Notices,
}

/// A mock's state. It is shared between the server and the test: all methods take `&self`, and each
/// sees or makes one consistent change.
pub struct State(Mutex<Inner>);

/// What the lock guards.
pub(crate) struct Inner {
    pub(crate) host: Host,
    pub(crate) tree: Directory,
    pub(crate) imdsv2_only: bool,
    pub(crate) disabled: bool,
    pub(crate) hop_limit: Option<HopLimit>,
    pub(crate) profile_error: Option<CredentialError>,
    pub(crate) keep_alive: bool,
    pub(crate) sessions: Sessions,
    pub(crate) issuer: Issuer,
    pub(crate) signer: Signer,
    pub(crate) faults: Faults,
    pub(crate) fidelity: Fidelity,
    pub(crate) notices: Notices,
    /// The notices that hang in the tree.
    planted: Vec<Place>,
    pub(crate) audience: Audience,
    pub(crate) seen: Ring<Seen, REMEMBERED>,
    clock_offset: SignedDuration,
}

/// One request that the mock saw.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When.
    pub time: Timestamp,
    /// Who asked, where that is known: over a socket it is.
    pub peer: Option<SocketAddr>,
    /// Its method.
    pub method: Method,
    /// Its target exactly as it was sent, before anything is decoded.
    pub uri: Uri,
    /// All its headers, names in lower case.
    pub headers: HeaderMap,
    /// What it was answered; `None` where a fault left it without an answer.
    pub status: Option<StatusCode>,
}

impl State {
    /// A mock that has issued nothing and seen nothing yet.
    pub fn new(settings: Settings) -> Self {
        let Settings {
            host,
            imdsv2_only,
            disabled,
            hop_limit,
            keep_alive,
            seed,
            schedule,
            faults: specs,
            fidelity,
            notices,
        } = settings;
        let key = seed.map_or_else(Key::random, |seed| Key::from_seed(seed, &host.instance_id));
        let mut faults = Faults::new(key.clone());
        for spec in specs {
            faults.set(spec);
        }
        Self(Mutex::new(Inner {
            tree: tree(&host),
            host,
            imdsv2_only,
            disabled,
            hop_limit,
            profile_error: None,
            keep_alive,
            sessions: Sessions::new(key.clone()),
            issuer: Issuer::new(key, schedule),
            signer: Signer::default(),
            faults,
            fidelity,
            notices,
            planted: Vec::new(),
            audience: Audience::default(),
            seen: Ring::new(),
            clock_offset: SignedDuration::ZERO,
        }))
    }

    /// The credentials issued so far, oldest first; the last 1,024 of them.
    pub fn issued(&self) -> Vec<Issued> {
        self.lock().issuer.issued().to_vec()
    }

    /// How many issued credentials are not remembered any more because there were too many.
    pub fn dropped_issued(&self) -> u64 {
        self.lock().issuer.issued().dropped()
    }

    /// Who got which credentials, oldest first; the last 4,096 answers.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.lock().issuer.deliveries().to_vec()
    }

    /// How many deliveries are not remembered any more because there were too many.
    pub fn dropped_deliveries(&self) -> u64 {
        self.lock().issuer.deliveries().dropped()
    }

    /// The requests seen so far, oldest first; the last 4,096 of them.
    pub fn requests(&self) -> Vec<Seen> {
        self.lock().seen.to_vec()
    }

    /// The requests from this number on, with their numbers; the first that the mock saw is 0.
    pub fn requests_since(&self, number: u64) -> Vec<(u64, Seen)> {
        self.log_since(number).0
    }

    /// How many requests are not remembered any more because there were too many.
    pub fn dropped_requests(&self) -> u64 {
        self.lock().seen.dropped()
    }

    /// The requests from this number on, the number that the next gets, and how many fell out: all as
    /// of one moment.
    pub(crate) fn log_since(&self, number: u64) -> (Vec<(u64, Seen)>, u64, u64) {
        let Inner { seen, .. } = &*self.lock();
        let numbered = seen.since(number).map(|(at, seen)| (at, seen.clone()));
        (numbered.collect(), seen.next(), seen.dropped())
    }

    /// Forgets the requests seen so far. The next is numbered on.
    pub fn forget_requests(&self) {
        self.lock().seen.clear();
    }

    /// The host as it is described now.
    pub fn host(&self) -> Host {
        self.lock().host.clone()
    }

    /// Changes the host's description.
    pub fn update_host(&self, change: impl FnOnce(&mut Host)) {
        let mut inner = self.lock();
        change(&mut inner.host);
        inner.host_changed();
    }

    /// Changes what is described and served to what `settings` say. What was issued and seen stays, and
    /// so do the seed and the faults.
    pub fn configure(&self, settings: Settings) {
        let mut inner = self.lock();
        inner.host = settings.host;
        inner.imdsv2_only = settings.imdsv2_only;
        inner.disabled = settings.disabled;
        inner.hop_limit = settings.hop_limit;
        inner.issuer.set_schedule(settings.schedule);
        inner.fidelity = settings.fidelity;
        inner.notices = settings.notices;
        inner.host_changed();
    }

    /// What the host is told beforehand.
    pub fn notices(&self) -> Notices {
        self.lock().notices.clone()
    }

    /// Replaces what the host is told beforehand. Who was among the first to see it remains so.
    pub fn set_notices(&self, notices: Notices) {
        self.lock().notices = notices;
    }

    /// Changes whom it resembles.
    pub fn set_fidelity(&self, fidelity: Fidelity) {
        self.lock().fidelity = fidelity;
    }

    /// Swaps the host's role, or with `None` removes it. Another role gets credentials of its own.
    pub fn set_role(&self, role: Option<&str>) {
        self.update_host(|host| host.role = role.map(str::to_owned));
    }

    /// Answers this in place of credentials, until `None` is set.
    pub fn fail_credentials(&self, error: Option<CredentialError>) {
        self.lock().issuer.fail_with(error);
    }

    /// Answers this at `iam/info`, until `None` is set.
    pub fn fail_profile(&self, error: Option<CredentialError>) {
        self.lock().profile_error = error;
    }

    /// When credentials expire and are renewed.
    pub fn schedule(&self) -> Schedule {
        self.lock().issuer.schedule()
    }

    /// From now on lets credentials expire and be renewed so. Sets that are out expire when they say.
    pub fn set_schedule(&self, schedule: Schedule) {
        self.lock().issuer.set_schedule(schedule);
    }

    /// The next request for credentials gets a new set, whenever the current one expires.
    pub fn rotate_credentials(&self) {
        self.lock().issuer.rotate();
    }

    /// Makes every session token that is out invalid.
    pub fn forget_tokens(&self) {
        self.lock().sessions.forget_all();
    }

    /// From now on refuses requests without a session token, or does not.
    pub fn require_tokens(&self, required: bool) {
        self.lock().imdsv2_only = required;
    }

    /// Whether requests without a session token are refused.
    pub fn requires_tokens(&self) -> bool {
        self.lock().imdsv2_only
    }

    /// Switches the service off: every request is answered with 403. Or on again.
    pub fn disable(&self, disabled: bool) {
        self.lock().disabled = disabled;
    }

    /// Whether the service is switched off.
    pub fn is_disabled(&self) -> bool {
        self.lock().disabled
    }

    /// From now on gives the answers to PUTs for a token so many hops.
    pub fn set_hop_limit(&self, limit: Option<HopLimit>) {
        self.lock().hop_limit = limit;
    }

    /// How many hops the answers to PUTs for a token get.
    pub fn hop_limit(&self) -> Option<HopLimit> {
        self.lock().hop_limit
    }

    /// From now on serves as if the clock that the mock was started with showed so much more, or with
    /// a negative offset so much less. For [`respond`](crate::respond()) the time is what it is told.
    pub fn set_clock_offset(&self, offset: SignedDuration) {
        self.lock().clock_offset = offset;
    }

    /// What [`set_clock_offset`](Self::set_clock_offset) was last given, or zero.
    pub fn clock_offset(&self) -> SignedDuration {
        self.lock().clock_offset
    }

    /// The time that the mock serves at where its clock shows `now`.
    pub(crate) fn at_offset(&self, now: Timestamp) -> Timestamp {
        now.checked_add(self.clock_offset()).unwrap_or(now)
    }

    /// Lets every request for `prefix` and all below it fail, as `/latest/meta-data/iam` or `/` for
    /// everything. Where several prefixes fit, the longest decides; setting one again replaces it.
    pub fn set_fault(&self, prefix: &str, fault: Fault) {
        self.add_fault(FaultSpec::always(prefix, fault));
    }

    /// Lets requests fail as often as `spec` says, in place of what was set for the same prefix.
    pub fn add_fault(&self, spec: FaultSpec) {
        self.lock().faults.set(spec);
    }

    /// The faults that are set, and how often each has happened.
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.lock().faults.list()
    }

    /// Takes the fault at `prefix` back; false where there is none.
    pub fn clear_fault(&self, prefix: &str) -> bool {
        self.lock().faults.remove(&Path::parse(prefix))
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// The fault that a request meets now, which is counted.
    pub(crate) fn decide_fault(&self, request: &Request, now: Timestamp) -> Option<Fault> {
        let path = Path::parse(request.uri().path());
        self.lock().faults.decide(&path, now)
    }

    /// Notes a request that a fault leaves without an answer.
    pub(crate) fn note_unanswered(&self, request: &Request, now: Timestamp) {
        self.lock().seen.push(Seen::new(request, None, now));
    }

    /// A test that panicked while it held the lock left nothing half done that would matter.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn host_changed(&mut self) {
        self.issuer.keep_roles_of(&self.host);
        self.replant();
    }

    /// Makes the tree anew, without notices.
    fn replant(&mut self) {
        self.tree = tree(&self.host);
        self.planted.clear();
    }

    /// Hangs the notices that are due into the tree, and only those.
    pub(crate) fn plant(&mut self, now: Timestamp) {
        let due = self.notices.due(now);
        if due == self.planted {
            return;
        }
        self.replant();
        for &place in &due {
            let path: Vec<&str> = std::iter::once("meta-data")
                .chain(place.path().split('/'))
                .collect();
            self.tree.graft(&path, Leaf::Notice(place));
        }
        self.planted = due;
    }
}

impl Seen {
    pub(crate) fn new(request: &Request, status: Option<StatusCode>, time: Timestamp) -> Self {
        Self {
            time,
            peer: request.extensions().get().map(|Peer(peer)| *peer),
            method: request.method().clone(),
            uri: unshared_uri(request.uri()),
            headers: request.headers().iter().map(unshared_header).collect(),
            status,
        }
    }
}

/// A copy with memory of its own. What came over a socket shares hyper's read buffer: remembered as it
/// is, a request of 200 bytes holds on to 8 KiB.
fn unshared_uri(uri: &Uri) -> Uri {
    Uri::try_from(uri.to_string()).unwrap_or_default()
}

fn unshared_header((name, value): (&HeaderName, &HeaderValue)) -> (HeaderName, HeaderValue) {
    let copy = HeaderValue::from_bytes(value.as_bytes());
    (name.clone(), copy.unwrap_or_else(|_| value.clone()))
}
