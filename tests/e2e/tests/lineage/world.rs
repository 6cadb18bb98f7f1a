//! An account in which a thief is at work: its IAM, which takes a while to carry out what is written
//! and to show it; its CloudTrail, which is late; and a clock that moves only where something waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use credpin::{
    cloud::{
        CallError,
        contain::{Contain, NewCut, PutError, Standing},
    },
    cloudtrail::{self, Reading, Source, Trail as Files, TrailError},
    revoke::{Made, Planned, lineage::Outside},
};
use credpin_core::{
    containment::Round,
    cut::{CUT_PATH, On, Role, User},
    evaluate::denied_by,
    id::{AccessKeyId, AccountId, Arn, PolicyName, RoleName, UserName},
    lineage::{Lineage, Target, Trace, trace},
    policy::Document,
    request::{Key, Request},
};
use credpin_e2e::{
    judge::Policy,
    trail::{
        ACCOUNT, Call, Caller, Dice, Trail,
        incident::{A, B, C, DEF, THIEF, begin},
    },
};
use credpin_ledger::Access;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

pub(crate) use credpin_e2e::trail::incident::BYSTANDER;
use credpin_e2e::trail::incident::COLLEAGUE;

/// How long IAM takes at the most, less than who revokes waits.
const SLOWEST: usize = 50;
/// How long before what was written is shown.
const STALE: SignedDuration = SignedDuration::from_secs(8);
/// Managed policies on a role or user (IAM quotas).
const PLACES: usize = 10;
const HOME: &str = "198.51.100.10";

/// A key in somebody's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) key: String,
    pub(crate) kind: Kind,
    pub(crate) issued: Timestamp,
    ends: Timestamp,
}

/// Whose a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A long-lived one of user ci.
    LongLived,
    /// A token of user ci.
    Token,
    Session {
        role: String,
        name: String,
    },
}

/// A policy on somebody, as IAM carries it out.
struct Attached {
    on: On,
    arn: Arn,
    wrote: Timestamp,
    from: Timestamp,
    /// When that was written, and from when on it holds.
    off: Option<(Timestamp, Timestamp)>,
}

struct Stored {
    document: Document,
    tags: BTreeMap<String, String>,
    wrote: Timestamp,
    gone: Option<Timestamp>,
}

struct Inner {
    now: Timestamp,
    dice: Dice,
    folder: TempDir,
    looks: u64,
    /// Records that are under way: when they are delivered, when they were made.
    under_way: Vec<(Timestamp, Timestamp, Call)>,
    policies: BTreeMap<Arn, Stored>,
    attached: Vec<Attached>,
    /// When a key was made inactive, and from when on it is.
    inactive: BTreeMap<String, (Timestamp, Timestamp)>,
    thief: Vec<Held>,
    others: Vec<Held>,
    at_work: bool,
    made: usize,
    denied: Vec<String>,
    asked: usize,
    writes: usize,
    fail_after: Option<usize>,
    cuts: Vec<(Timestamp, usize)>,
}

/// All of it.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

/// Its IAM, as who revokes sees it.
pub(crate) struct Cloud(World);

/// Its trail and its clock.
pub(crate) struct Front {
    world: World,
    key: String,
    pauses: Option<usize>,
    agrees: bool,
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

impl Held {
    pub(crate) fn on(&self) -> On {
        match &self.kind {
            Kind::LongLived | Kind::Token => On::User("ci".parse().unwrap()),
            Kind::Session { role, .. } => On::Role(role.parse().unwrap()),
        }
    }

    fn caller(&self) -> Caller {
        match &self.kind {
            Kind::LongLived => Caller::user("ci", &self.key),
            Kind::Token => Caller::user("ci", &self.key).issued(self.issued),
            Kind::Session { role, name } => {
                Caller::session(role, name, &self.key).issued(self.issued)
            }
        }
    }

    fn request(&self, action: &str) -> Request {
        let request = Request::new(action);
        match &self.kind {
            Kind::LongLived => request.with(Key::UserId, "AIDACIEXAMPLE"),
            Kind::Token => request
                .with(Key::UserId, "AIDACIEXAMPLE")
                .with(Key::TokenIssueTime, self.issued),
            Kind::Session { role, name } => request
                .with(
                    Key::UserId,
                    format!("AROA{}EXAMPLE:{name}", role.to_uppercase()),
                )
                .with(Key::TokenIssueTime, self.issued),
        }
    }
}

impl Inner {
    /// Lets time pass, in which the thief is at work.
    fn pass(&mut self, then: Timestamp) {
        while self.now < then {
            self.now = then.min(self.now + seconds(15));
            if self.at_work {
                self.steal();
            }
            self.look_at_others();
        }
    }

    fn is_denied(&self, held: &Held, action: &str) -> bool {
        let inactive = self.inactive.get(&held.key);
        let documents = self.in_force(&held.on());
        held.ends <= self.now
            || inactive.is_some_and(|(_, from)| *from <= self.now)
            || denied_by(documents, &held.request(action)).is_some()
    }

    fn in_force(&self, on: &On) -> Vec<&Document> {
        let now = self.now;
        let attached = self.attached.iter().filter(|it| {
            it.on == *on && it.from <= now && it.off.is_none_or(|(_, from)| from > now)
        });
        attached
            .map(|it| &self.policies[&it.arn].document)
            .collect()
    }

    /// Everything that it has, it uses; what works makes more.
    fn steal(&mut self) {
        let held = self.thief.clone();
        // Its newest sessions, and what they came of.
        let kept = held.len().saturating_sub(4);
        let held = held
            .into_iter()
            .enumerate()
            .filter(|(place, held)| *place >= kept || held.kind == Kind::Token || held.key == A);
        for (_, held) in held {
            let turn = self.dice.of(6);
            let next = match (&held.kind, turn) {
                (Kind::LongLived, 0) => Some(Kind::Token),
                (Kind::LongLived | Kind::Token, 1 | 2) => Some(Kind::Session {
                    role: "data".into(),
                    name: "backup".into(),
                }),
                (Kind::LongLived | Kind::Token, 3) => Some(Kind::Session {
                    role: "data".into(),
                    name: format!("x{}", self.made),
                }),
                (Kind::Session { role, .. }, 4) if role == "data" => Some(Kind::Session {
                    role: "audit".into(),
                    name: format!("y{}", self.made),
                }),
                _ => None,
            };
            if let Some(kind) = next {
                self.make(&held, kind);
                continue;
            }
            let call = Call::new(&held.caller(), "s3", "ListBuckets", THIEF);
            self.record(if self.is_denied(&held, "s3:ListAllMyBuckets") {
                call.denied("explicit deny")
            } else {
                call
            });
        }
    }

    /// Asks for a further key with one, as a thief who has a name for it.
    fn make(&mut self, with: &Held, kind: Kind) {
        let key = format!("ASIALATE{:012}", self.made);
        self.made += 1;
        self.hand_out(with, kind, &key);
    }

    fn hand_out(&mut self, with: &Held, kind: Kind, key: &str) {
        let (name, action, lasts) = match kind {
            Kind::Session { .. } => ("AssumeRole", "sts:AssumeRole", 3600),
            _ => ("GetSessionToken", "sts:GetSessionToken", 129_600),
        };
        let call = Call::new(&with.caller(), "sts", name, THIEF);
        if self.is_denied(with, action) {
            return self.record(call.denied("explicit deny"));
        }
        let call = call.hands_out(key, self.now, lasts);
        self.record(match &kind {
            Kind::Session { role, name } => call.of_role(role, name),
            _ => call,
        });
        self.thief.push(Held {
            key: key.to_owned(),
            kind,
            issued: self.now,
            ends: self.now + seconds(lasts),
        });
    }

    /// Most records come within five minutes, some take fourteen.
    fn record(&mut self, call: Call) {
        let late = match self.dice.of(20) {
            0 => 14 * 60,
            _ => 60 + i64::try_from(self.dice.of(240)).unwrap(),
        };
        self.under_way
            .push((self.now + seconds(late), self.now, call));
    }

    fn look_at_others(&mut self) {
        for held in self.others.clone() {
            self.asked += 1;
            if self.is_denied(&held, "s3:ListAllMyBuckets") {
                self.denied.push(format!("{} at {}", held.key, self.now));
            }
        }
    }

    /// A call of IAM: takes a second, and may fail if it writes.
    fn call(&mut self, call: &'static str, on: &dyn std::fmt::Display) -> Result<(), CallError> {
        self.pass(self.now + seconds(1));
        let is_write = !["Get", "List"].iter().any(|read| call.starts_with(read));
        if is_write {
            if self.fail_after.is_some_and(|most| self.writes >= most) {
                return Err(CallError {
                    call,
                    on: on.to_string(),
                    why: "killed".into(),
                    not_found: false,
                });
            }
            self.writes += 1;
        }
        Ok(())
    }

    /// From when on what is written now holds.
    fn holds_from(&mut self) -> Timestamp {
        self.now + seconds(2 + i64::try_from(self.dice.of(SLOWEST)).unwrap())
    }

    fn not_found<T>(call: &'static str, on: &dyn std::fmt::Display) -> Result<T, CallError> {
        Err(CallError {
            call,
            on: on.to_string(),
            why: "NoSuchEntity".into(),
            not_found: true,
        })
    }
}

impl World {
    /// The incident, an hour and a half after it began: the thief has A to F and makes more from now on.
    pub(crate) fn of_the_incident(seed: u64) -> Self {
        let held = |key: &str, kind: Kind| Held {
            key: key.to_owned(),
            kind,
            issued: begin(),
            ends: Timestamp::MAX,
        };
        let colleague = Kind::Session {
            role: "data".into(),
            name: "colleague".into(),
        };
        let mut inner = Inner {
            now: begin(),
            dice: Dice::new(seed),
            folder: tempfile::tempdir().unwrap(),
            looks: 0,
            under_way: Vec::new(),
            policies: BTreeMap::new(),
            attached: Vec::new(),
            inactive: BTreeMap::new(),
            thief: vec![held(A, Kind::LongLived)],
            others: vec![held(BYSTANDER, Kind::LongLived), held(COLLEAGUE, colleague)],
            at_work: false,
            made: 0,
            denied: Vec::new(),
            asked: 0,
            writes: 0,
            fail_after: None,
            cuts: Vec::new(),
        };
        let backup = || Kind::Session {
            role: "data".into(),
            name: "backup".into(),
        };
        for held in inner.others.clone() {
            inner.record(Call::new(&held.caller(), "s3", "ListBuckets", HOME));
        }
        let a = inner.thief[0].clone();
        inner.now += seconds(60);
        inner.hand_out(&a, Kind::Token, B);
        let b = inner.thief[1].clone();
        inner.now += seconds(120);
        inner.hand_out(&a, backup(), C);
        for key in DEF {
            inner.now += seconds(600);
            inner.hand_out(&b, backup(), key);
        }
        inner.now += seconds(900);
        inner.at_work = true;
        Self(Arc::new(Mutex::new(inner)))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn pass(&self, then: Timestamp) {
        self.inner().pass(then);
    }

    pub(crate) fn thiefs(&self) -> Vec<Held> {
        self.inner().thief.clone()
    }

    pub(crate) fn others(&self) -> Vec<Held> {
        self.inner().others.clone()
    }

    pub(crate) fn in_force(&self, on: &On) -> Vec<Policy> {
        let inner = self.inner();
        let documents = inner.in_force(on).into_iter().enumerate();
        documents
            .map(|(number, document)| Policy {
                name: format!("cut-{number}"),
                document: serde_json::from_str(&document.to_json()).unwrap(),
            })
            .collect()
    }

    pub(crate) fn is_active(&self, key: &str) -> bool {
        !self.inner().inactive.contains_key(key)
    }

    pub(crate) fn cuts_by_round(&self) -> Vec<(Timestamp, usize)> {
        self.inner().cuts.clone()
    }

    pub(crate) fn last_cut(&self) -> Timestamp {
        self.inner().cuts.last().unwrap().0
    }

    pub(crate) fn bystanders_denied(&self) -> Vec<String> {
        self.inner().denied.clone()
    }

    pub(crate) fn asked_for_bystanders(&self) -> usize {
        self.inner().asked
    }

    pub(crate) fn writes(&self) -> usize {
        self.inner().writes
    }

    pub(crate) fn fail_after(&self, writes: usize) {
        self.inner().fail_after = Some(writes);
    }

    pub(crate) fn heal(&self) {
        self.inner().fail_after = None;
    }
}

impl Cloud {
    pub(crate) fn new(world: &World) -> Self {
        Self(world.clone())
    }
}

impl Contain for Cloud {
    async fn account(&self) -> Result<AccountId, CallError> {
        Ok(ACCOUNT.parse().unwrap())
    }

    async fn keys(&self, user: &UserName) -> Result<Vec<(AccessKeyId, bool)>, CallError> {
        let mut inner = self.0.inner();
        inner.call("ListAccessKeys", user)?;
        let seen = inner.now - STALE;
        let works = |key: &str| {
            let inactive = inner.inactive.get(key);
            inactive.is_none_or(|(wrote, _)| *wrote > seen)
        };
        let keys = [A, BYSTANDER].map(|key| (key.parse().unwrap(), works(key)));
        Ok(keys.to_vec())
    }

    async fn document(&self, cut: &Arn) -> Result<String, CallError> {
        let mut inner = self.0.inner();
        inner.call("GetPolicyVersion", cut)?;
        Ok(inner.policies[cut].document.to_json())
    }

    async fn role(&self, name: &RoleName) -> Result<Role, CallError> {
        self.0.inner().call("GetRole", name)?;
        Ok(Role {
            name: name.clone(),
            id: format!("AROA{}EXAMPLE", name.as_str().to_uppercase())
                .parse()
                .unwrap(),
            arn: format!("arn:aws:iam::{ACCOUNT}:role/{name}")
                .parse()
                .unwrap(),
        })
    }

    async fn user(&self, name: &UserName) -> Result<User, CallError> {
        self.0.inner().call("GetUser", name)?;
        Ok(User {
            name: name.clone(),
            arn: format!("arn:aws:iam::{ACCOUNT}:user/{name}")
                .parse()
                .unwrap(),
        })
    }

    async fn owner(&self, key: &AccessKeyId) -> Result<UserName, CallError> {
        Inner::not_found("GetAccessKeyLastUsed", key)
    }

    async fn standing(&self) -> Result<Vec<Standing>, CallError> {
        let mut inner = self.0.inner();
        inner.call("ListPolicies", &CUT_PATH)?;
        let seen = inner.now - STALE;
        let is_shown =
            |stored: &Stored| stored.wrote <= seen && stored.gone.is_none_or(|gone| gone > seen);
        let shown = inner.policies.iter().filter(|(_, stored)| is_shown(stored));
        let attached = |arn: &Arn| {
            let mut attached = inner.attached.iter();
            attached.any(|it| {
                it.arn == *arn && it.wrote <= seen && it.off.is_none_or(|(wrote, _)| wrote > seen)
            })
        };
        Ok(shown
            .map(|(arn, stored)| Standing {
                name: name_of(arn),
                arn: arn.clone(),
                tags: stored.tags.clone(),
                attached: attached(arn),
            })
            .collect())
    }

    async fn create_cut(&self, cut: &NewCut<'_>) -> Result<Arn, CallError> {
        let mut inner = self.0.inner();
        inner.call("CreatePolicy", cut.name)?;
        let arn: Arn = format!("arn:aws:iam::{ACCOUNT}:policy{CUT_PATH}{}", cut.name)
            .parse()
            .unwrap();
        credpin_witness::note(cut.document);
        let document = Document::parse(cut.document).unwrap();
        assert!(document.size() <= 6144, "{}", document.size());
        let now = inner.now;
        let tags = cut.tags.iter();
        let tags = tags.map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let stored = Stored {
            document,
            tags: tags.collect(),
            wrote: now,
            gone: None,
        };
        let there = inner.policies.entry(arn.clone());
        let there = there.or_insert_with(|| Stored {
            gone: Some(now),
            ..clone_of(&stored)
        });
        if there.gone.is_some() {
            *there = stored;
        }
        Ok(arn)
    }

    async fn delete_cut(&self, cut: &Arn) -> Result<(), CallError> {
        let mut inner = self.0.inner();
        inner.call("DeletePolicy", cut)?;
        let now = inner.now;
        match inner.policies.get_mut(cut) {
            Some(stored) if stored.gone.is_none() => {
                stored.gone = Some(now);
                Ok(())
            }
            _ => Inner::not_found("DeletePolicy", cut),
        }
    }

    async fn put_on(&self, on: &On, cut: &Arn) -> Result<(), PutError> {
        let mut inner = self.0.inner();
        inner.call("AttachPolicy", on)?;
        let is_on = |it: &&Attached| it.on == *on && it.off.is_none();
        if inner.attached.iter().filter(is_on).any(|it| it.arn == *cut) {
            return Ok(());
        }
        if inner.attached.iter().filter(is_on).count() >= PLACES {
            return Err(PutError::NoPlace {
                on: on.clone(),
                refused: CallError {
                    call: "AttachPolicy",
                    on: on.to_string(),
                    why: "LimitExceeded".into(),
                    not_found: false,
                },
            });
        }
        let (wrote, from) = (inner.now, inner.holds_from());
        inner.attached.push(Attached {
            on: on.clone(),
            arn: cut.clone(),
            wrote,
            from,
            off: None,
        });
        Ok(())
    }

    async fn take_off(&self, on: &On, cut: &Arn) -> Result<(), CallError> {
        let mut inner = self.0.inner();
        inner.call("DetachPolicy", cut)?;
        let times = (inner.now, inner.holds_from());
        let mut attached = inner.attached.iter_mut();
        match attached.find(|it| it.on == *on && it.arn == *cut && it.off.is_none()) {
            Some(it) => {
                it.off = Some(times);
                Ok(())
            }
            None => Inner::not_found("DetachPolicy", cut),
        }
    }

    async fn set_key(
        &self,
        _user: &UserName,
        key: &AccessKeyId,
        active: bool,
    ) -> Result<(), CallError> {
        let mut inner = self.0.inner();
        inner.call("UpdateAccessKey", key)?;
        assert!(!active, "nobody undoes anything here");
        let times = (inner.now, inner.holds_from());
        inner.inactive.entry(key.to_string()).or_insert(times);
        Ok(())
    }
}

fn name_of(arn: &Arn) -> PolicyName {
    arn.resource().rsplit('/').next().unwrap().parse().unwrap()
}

fn clone_of(stored: &Stored) -> Stored {
    Stored {
        document: stored.document.clone(),
        tags: stored.tags.clone(),
        wrote: stored.wrote,
        gone: stored.gone,
    }
}

impl Front {
    pub(crate) fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            key: C.to_owned(),
            pauses: None,
            agrees: true,
        }
    }

    pub(crate) fn of(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// Somebody stops it after so many pauses.
    pub(crate) fn stop_after_pauses(&mut self, pauses: usize) {
        self.pauses = Some(pauses);
    }

    pub(crate) fn refuse(&mut self) {
        self.agrees = false;
    }
}

impl Outside for Front {
    fn now(&self) -> Timestamp {
        self.world.inner().now
    }

    async fn look(&self, now: Timestamp) -> Result<(Option<Trace>, Reading), TrailError> {
        let source: Source = {
            let mut inner = self.world.inner();
            inner.looks += 1;
            // Ids of events come of the seed.
            let mut trail = Trail::new(1000 + inner.looks);
            let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut inner.under_way)
                .into_iter()
                .partition(|(delivered, ..)| *delivered <= now);
            inner.under_way = later;
            for (_, at, call) in due {
                trail.add(at, call);
            }
            trail.write(inner.folder.path()).unwrap();
            // Reading it takes a while too.
            let then = inner.now + seconds(10);
            inner.pass(then);
            inner.folder.path().to_str().unwrap().parse().unwrap()
        };
        let files = Files::open(&source, &Access::Variables(Vec::new()))?;
        let (lineage, reading) = cloudtrail::read(files, Lineage::default).await?;
        let target = Target::Key(self.key.clone());
        Ok((trace(lineage, &target, None, now), reading))
    }

    async fn until(&self, then: Timestamp) -> bool {
        if self.pauses.is_some_and(|pauses| pauses <= 1) {
            return false;
        }
        self.world.inner().pass(then);
        true
    }

    fn found(
        &mut self,
        _trace: &Trace,
        _reading: &Reading,
        round: &Round,
        cuts: &[Planned],
    ) -> io::Result<bool> {
        assert_eq!(round.cuts.len(), cuts.len());
        Ok(self.agrees)
    }

    fn done(&mut self, made: &Made) -> io::Result<()> {
        let mut inner = self.world.inner();
        let now = inner.now;
        inner.cuts.push((now, made.done.len()));
        let ids: BTreeSet<_> = made.done.iter().map(|planned| &planned.id).collect();
        assert_eq!(ids.len(), made.done.len(), "each cut is there once");
        Ok(())
    }
}
