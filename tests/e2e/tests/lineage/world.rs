//! An account in which a thief is at work: its IAM, which takes a while to carry out what is written
//! and to show it; its CloudTrail, which is late; and a clock that moves only where something waits.

mod front;
mod iam;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use credpin_core::{
    cut::On,
    evaluate::denied_by,
    id::Arn,
    request::{Key, Request},
};
use credpin_e2e::{
    judge::Policy,
    trail::{
        Call, Caller, Dice,
        incident::{A, B, C, COLLEAGUE, DEF, THIEF, begin},
    },
};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

pub(crate) use credpin_e2e::trail::incident::BYSTANDER;
pub(crate) use front::Front;
pub(crate) use iam::Cloud;
use iam::{Attached, Stored};

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
