//! IAM of the account: it takes a while to carry out what is written, and another to show it.

use std::collections::BTreeMap;

use credpin::cloud::{
    CallError,
    contain::{Contain, NewCut, PutError, Standing},
};
use credpin_core::{
    cut::{CUT_PATH, On, Role, User},
    id::{AccessKeyId, AccountId, Arn, PolicyName, RoleName, UserName},
    policy::Document,
};
use credpin_e2e::trail::{ACCOUNT, incident::A};
use jiff::{SignedDuration, Timestamp};

use super::{BYSTANDER, Inner, World, seconds};

/// How long IAM takes at the most, less than who revokes waits.
const SLOWEST: usize = 50;
/// How long before what was written is shown.
const STALE: SignedDuration = SignedDuration::from_secs(8);
/// Managed policies on a role or user (IAM quotas).
const PLACES: usize = 10;

/// A policy on somebody, as IAM carries it out.
pub(super) struct Attached {
    on: On,
    arn: Arn,
    wrote: Timestamp,
    from: Timestamp,
    /// When that was written, and from when on it holds.
    off: Option<(Timestamp, Timestamp)>,
}

pub(super) struct Stored {
    document: Document,
    tags: BTreeMap<String, String>,
    wrote: Timestamp,
    gone: Option<Timestamp>,
}

/// Its IAM, as who revokes sees it.
pub(crate) struct Cloud(World);

impl Inner {
    /// What is in force on somebody now.
    pub(super) fn in_force(&self, on: &On) -> Vec<&Document> {
        let now = self.now;
        let attached = self.attached.iter().filter(|it| {
            it.on == *on && it.from <= now && it.off.is_none_or(|(_, from)| from > now)
        });
        attached
            .map(|it| &self.policies[&it.arn].document)
            .collect()
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
