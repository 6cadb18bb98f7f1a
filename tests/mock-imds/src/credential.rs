//! A role's credentials: well-formed, expiring, renewed before they do (EC2 User Guide, retrieve
//! security credentials from instance metadata).

use std::time::Duration;

use jiff::Timestamp;

use crate::derive::{BASE64, Key};
use crate::document::document;
use crate::fault::Fault;
use crate::host::Host;
use crate::ring::Ring;

/// How many issued credentials are remembered.
const REMEMBERED: usize = 1024;

/// How long credentials live and when the next ones appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From issue to expiry, in whole seconds. Default: 6 hours.
    pub lifetime: Duration,
    /// How long before the expiry of a set the next one takes its place: "at least five minutes",
    /// says AWS, and so says the default. A test that wants a new set every second sets it to one
    /// second less than `lifetime`.
    pub overlap: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_hours(6),
            overlap: Duration::from_mins(5),
        }
    }
}

/// One set of credentials that the mock issued. The mock is a test double: this is the one place in
/// the project where a secret is kept, for tests to look for it where it must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Name of the role.
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
}

/// Issues the credentials of one instance and remembers them.
pub(crate) struct Issuer {
    key: Key,
    schedule: Schedule,
    current: Option<Issued>,
    count: u64,
    log: Ring<Issued, REMEMBERED>,
    failure: Option<CredentialError>,
}

impl Issuer {
    pub(crate) fn new(key: Key, schedule: Schedule) -> Self {
        Self {
            key,
            schedule,
            current: None,
            count: 0,
            log: Ring::new(),
            failure: None,
        }
    }

    /// The document that `role`'s path answers with now, and when that was last renewed. A fault
    /// spoils the document and leaves the set as it is.
    pub(crate) fn document(
        &mut self,
        host: &Host,
        role: &str,
        fault: Option<Fault>,
        now: Timestamp,
    ) -> (String, Timestamp) {
        if let Some(failure) = &self.failure {
            let updated = whole_seconds(now);
            return (failure.document(updated), updated);
        }
        let schedule = self.schedule;
        let current = match self.current.take() {
            Some(current) if current.role == role && !schedule.is_due(&current, now) => current,
            _ => self.issue(host, role, now),
        };
        let current = self.current.insert(current);
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

    /// When the current set was issued, if there is one.
    pub(crate) fn last_updated(&self) -> Option<Timestamp> {
        self.current.as_ref().map(|current| current.issued)
    }

    /// The next request gets a new set.
    pub(crate) fn rotate(&mut self) {
        self.current = None;
    }

    pub(crate) fn fail_with(&mut self, failure: Option<CredentialError>) {
        self.failure = failure;
    }

    pub(crate) fn issued(&self) -> Vec<Issued> {
        self.log.to_vec()
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

impl Schedule {
    fn is_due(self, current: &Issued, now: Timestamp) -> bool {
        let due = current
            .expires
            .checked_sub(self.overlap)
            .unwrap_or(Timestamp::MIN);
        now >= due
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
    fn document(&self, updated: Timestamp) -> String {
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
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
