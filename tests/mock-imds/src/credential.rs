//! A role's credentials: well-formed, expiring, renewed before they do (EC2 User Guide, retrieve
//! security credentials from instance metadata).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::derive::{BASE64, Key};
use crate::document::document;
use crate::fault::Fault;
use crate::host::Host;
use crate::ring::Ring;
use crate::schedule::Schedule;

/// How many issued credentials are remembered.
const REMEMBERED: usize = 1024;
/// How many deliveries of them are remembered.
const DELIVERIES: usize = 4096;

/// The name that the instance's own identity has in the place of a role's.
const IDENTITY: &str = "ec2-instance";

/// One set of credentials that the mock issued. The mock is a test double: this is the one place in
/// the project where a secret is kept, for tests to look for it where it must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Name of the role; `ec2-instance` for the credentials of the instance's own identity.
    pub role: String,
    /// `ASIA` and 16 more.
    pub access_key_id: String,
    /// 40 characters.
    pub secret_access_key: String,
    /// The session token, 964 characters.
    pub token: String,
    /// `LastUpdated`, in whole seconds.
    pub issued: Timestamp,
    /// `Expiration`, in whole seconds.
    pub expires: Timestamp,
    /// When it was first asked for, which is what made the mock issue it.
    pub first_handed_out: Timestamp,
}

/// One answer with credentials: who got which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When.
    pub time: Timestamp,
    /// Who asked, where that is known: over a socket it is.
    pub peer: Option<SocketAddr>,
    /// The session token it was asked with; `None` for a request of IMDSv1.
    pub session: Option<String>,
    /// Name of the role, as in [`Issued`].
    pub role: String,
    /// Which set it was.
    pub access_key_id: String,
}

/// Whose credentials are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder<'a> {
    /// The role of this name.
    Role(&'a str),
    /// The instance itself.
    Identity,
}

/// Who asks for them, and when.
pub(crate) struct Asker<'a> {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) session: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// An answer in place of credentials, as IMDS gives it where it cannot assume the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialError {
    /// As `AssumeRoleUnauthorizedAccess`.
    pub code: String,
    /// For a person.
    pub message: String,
}

impl CredentialError {
    /// The role's trust policy does not let EC2 assume it (IAM User Guide, troubleshoot IAM and EC2).
    pub fn assume_role_unauthorized(role: &str) -> Self {
        Self {
            code: "AssumeRoleUnauthorizedAccess".into(),
            message: format!(
                "EC2 cannot assume the role {role}. Please see documentation at \
                 https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html\
                 #troubleshoot_iam-ec2_errors-info-doc."
            ),
        }
    }

    /// The instance profile was deleted (same page): what `iam/info` then says.
    pub fn instance_profile_not_found(arn: &str) -> Self {
        Self {
            code: "InstanceProfileNotFound".into(),
            message: format!(
                "Instance Profile {arn} cannot be found. Please see documentation at \
                 https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html\
                 #troubleshoot_iam-ec2_errors-info-doc."
            ),
        }
    }
}

/// Issues the credentials of one instance and remembers them.
pub(crate) struct Issuer {
    key: Key,
    schedule: Schedule,
    /// The current set of each role that was asked for.
    roles: BTreeMap<String, Issued>,
    /// That of the instance itself.
    identity: Option<Issued>,
    count: u64,
    log: Ring<Issued, REMEMBERED>,
    deliveries: Ring<Delivery, DELIVERIES>,
    failure: Option<CredentialError>,
}

impl Issuer {
    pub(crate) fn new(key: Key, schedule: Schedule) -> Self {
        Self {
            key,
            schedule,
            roles: BTreeMap::new(),
            identity: None,
            count: 0,
            log: Ring::new(),
            deliveries: Ring::new(),
            failure: None,
        }
    }

    /// The document that the holder's path answers with now, and when that was last renewed. A fault
    /// spoils the document and leaves the set as it is.
    pub(crate) fn document(
        &mut self,
        host: &Host,
        holder: Holder,
        fault: Option<Fault>,
        asker: &Asker,
    ) -> (String, Timestamp) {
        let now = asker.now;
        if let (Some(failure), Holder::Role(_)) = (&self.failure, holder) {
            let updated = whole_seconds(now);
            return (failure.document(updated), updated);
        }
        let schedule = self.schedule;
        let current = self.current(host, holder, now).clone();
        self.deliveries.push(Delivery {
            time: now,
            peer: asker.peer,
            session: asker.session.map(str::to_owned),
            role: current.role.clone(),
            access_key_id: current.access_key_id.clone(),
        });
        match fault {
            Some(Fault::Expired) => {
                let expired = current.expired(schedule.lifetime, now);
                (expired.document(), expired.issued)
            }
            Some(Fault::Unparsable) => {
                let mut document = current.document();
                document.truncate(document.len() - "\n}".len());
                (document, current.issued)
            }
            _ => (current.document(), current.issued),
        }
    }

    /// When the newest of the roles' sets was issued, if there is one.
    pub(crate) fn last_updated(&self) -> Option<Timestamp> {
        self.roles.values().map(|current| current.issued).max()
    }

    /// The next request for each gets a new set.
    pub(crate) fn rotate(&mut self) {
        self.roles.clear();
        self.identity = None;
    }

    /// Forgets the sets of roles that the host does not have any more: should it get one back, that
    /// starts anew.
    pub(crate) fn keep_roles_of(&mut self, host: &Host) {
        self.roles
            .retain(|name, _| host.roles().any(|role| role == name));
    }

    pub(crate) fn fail_with(&mut self, failure: Option<CredentialError>) {
        self.failure = failure;
    }

    pub(crate) fn schedule(&self) -> Schedule {
        self.schedule
    }

    pub(crate) fn set_schedule(&mut self, schedule: Schedule) {
        self.schedule = schedule;
    }

    pub(crate) fn issued(&self) -> &Ring<Issued, REMEMBERED> {
        &self.log
    }

    pub(crate) fn deliveries(&self) -> &Ring<Delivery, DELIVERIES> {
        &self.deliveries
    }

    /// The set that is good now, issued if need be.
    fn current(&mut self, host: &Host, holder: Holder, now: Timestamp) -> &Issued {
        let (role, current) = match holder {
            Holder::Role(role) => (role, self.roles.remove(role)),
            Holder::Identity => (IDENTITY, self.identity.take()),
        };
        let current = match current {
            Some(set) if !self.schedule.is_due(set.issued, set.expires, now) => set,
            _ => self.issue(host, role, now),
        };
        match holder {
            Holder::Role(role) => self
                .roles
                .entry(role.to_owned())
                .insert_entry(current)
                .into_mut(),
            Holder::Identity => self.identity.insert(current),
        }
    }

    fn issue(&mut self, host: &Host, role: &str, now: Timestamp) -> Issued {
        self.count += 1;
        let count = self.count.to_be_bytes();
        let context =
            |part: &'static [u8]| [part, host.account.as_bytes(), role.as_bytes(), &count];
        let issued = whole_seconds(now);
        let credential = Issued {
            role: role.to_owned(),
            access_key_id: access_key_id(&host.account, self.key.bytes(&context(b"access key id"))),
            secret_access_key: self.key.text(BASE64, 40, &context(b"secret access key")),
            // What real ones begin with: the base64 of a tag and "origin_ec".
            token: format!(
                "IQoJb3JpZ2luX2Vj{}A==",
                self.key.text(BASE64, 945, &context(b"session token"))
            ),
            issued,
            expires: issued
                .checked_add(self.schedule.lifetime)
                .unwrap_or(Timestamp::MAX),
            first_handed_out: now,
        };
        self.log.push(credential.clone());
        credential
    }
}

impl Issued {
    /// The same set as it would look if it had expired an hour before `now`.
    fn expired(&self, lifetime: Duration, now: Timestamp) -> Self {
        let before = |time: Timestamp, by| time.checked_sub(by).unwrap_or(Timestamp::MIN);
        let expires = before(whole_seconds(now), Duration::from_hours(1));
        Self {
            issued: before(expires, lifetime),
            expires,
            ..self.clone()
        }
    }

    fn document(&self) -> String {
        document([
            ("Code", "Success"),
            ("LastUpdated", &self.issued.to_string()),
            ("Type", "AWS-HMAC"),
            ("AccessKeyId", &self.access_key_id),
            ("SecretAccessKey", &self.secret_access_key),
            ("Token", &self.token),
            ("Expiration", &self.expires.to_string()),
        ])
    }
}

impl CredentialError {
    pub(crate) fn document(&self, updated: Timestamp) -> String {
        document([
            ("Code", self.code.as_str()),
            ("Message", &self.message),
            ("LastUpdated", &updated.to_string()),
        ])
    }
}

/// `ASIA` and 80 bits in base32: a one, the account id in 40 bits, 39 bits of chance. Real key ids of
/// recent years carry the account id there, and tools read it out of them.
fn access_key_id(account: &str, random: impl Iterator<Item = u8>) -> String {
    const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let account: u128 = account.parse().unwrap_or(0) & ((1 << 40) - 1);
    let random = random
        .take(5)
        .fold(0_u128, |bits, byte| bits << 8 | u128::from(byte));
    let bits = 1 << 79 | account << 39 | random & ((1 << 39) - 1);
    let digits = (0..16)
        .rev()
        .map(|digit| BASE32[usize::try_from(bits >> (5 * digit) & 31).unwrap_or(0)]);
    "ASIA".chars().chain(digits.map(char::from)).collect()
}

/// Credentials carry times in whole seconds.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
