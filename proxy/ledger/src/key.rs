//! The name of a batch of records in the store, and what it is made of.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::{Host, Record};

/// Where every record lies, below the store's own prefix. `v1` is the layout's version.
pub const PREFIX: &str = "records/v1";

/// The name of an immutable object that holds the records of one host, one boot and one hour:
///
/// ```text
/// records/v1/dt=2026-05-04/hr=09/account=111122223333/region=eu-west-1/AROAEXAMPLEEXAMPLE:i-0abc/BOOT-SEQ.jsonl
/// ```
///
/// `SEQ` is the sequence number of the first record in it, so the name follows from the contents and
/// a retried upload meets itself. `name=value` directories are what Athena and Spark read as
/// partitions. There is one spelling: what parses prints as it was.
///
/// The key is stronger evidence than the records below it: in S3 a bucket policy with
/// `${aws:userid}` lets a host create only under its own name, while a record says what it likes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    hour: Timestamp,
    account: String,
    region: String,
    user: UserId,
    boot: BootId,
    seq: u64,
}

/// Whose records: the directory that a host may write in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UserId {
    /// `AROA…:i-…`, the `aws:userid` of an instance's session. What S3 stores use.
    Session {
        /// The role's unique id, `AROA…`. Only `sts:GetCallerIdentity` tells it to the host.
        role_id: String,
        /// `i-…`
        instance: String,
    },
    /// `i-…` alone. A directory has no `aws:userid` to hold a host to, and IMDS does not tell the
    /// role's id.
    Instance(String),
}

/// A boot of a host: the UUID in `/proc/sys/kernel/random/boot_id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BootId(String);

/// A text that is no [`Key`], [`UserId`] or [`BootId`], or a record that has no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} is missing or malformed")]
pub struct KeyError {
    /// Which part.
    pub part: &'static str,
}

/// A record says something else than the key that it was found under.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record says {field} {record:?}, its key {key:?}")]
pub struct Contradiction {
    /// The record's field.
    pub field: &'static str,
    /// What the record says.
    pub record: String,
    /// What the key says.
    pub key: String,
}

impl Key {
    /// The key of the batch that begins with `first`. With a `role_id` the batch is the session's,
    /// else the instance's.
    pub fn of(first: &Record, role_id: Option<&str>) -> Result<Self, KeyError> {
        let Host {
            account,
            region,
            instance_id,
            ..
        } = &first.host;
        let user = match role_id {
            Some(role_id) => format!("{role_id}:{instance_id}").parse()?,
            None => instance_id.parse()?,
        };
        require(is_account(account), "account")?;
        require(is_region(region), "region")?;
        Ok(Self {
            hour: hour_of(first.time),
            account: account.clone(),
            region: region.clone(),
            user,
            boot: first.boot_id.parse()?,
            seq: first.seq,
        })
    }

    /// The hour of its records: the time at which it begins.
    pub fn hour(&self) -> Timestamp {
        self.hour
    }

    /// Account id, twelve digits.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Region, as `eu-west-1`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whose records.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The boot that they are of.
    pub fn boot(&self) -> &BootId {
        &self.boot
    }

    /// The sequence number of the first record.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The first thing that `record` says against this key. What a record leaves empty, because its
    /// host did not know, says nothing.
    pub fn contradicted_by(&self, record: &Record) -> Option<Contradiction> {
        let host = &record.host;
        let hour = hour_of(record.time);
        let known = [
            ("account", self.account.as_str(), host.account.as_str()),
            ("region", &self.region, &host.region),
            ("instance_id", self.user.instance(), &host.instance_id),
        ]
        .into_iter()
        .filter(|(_, _, record)| !record.is_empty());
        known
            .chain([("boot_id", self.boot.as_str(), record.boot_id.as_str())])
            .find(|(_, key, record)| key != record)
            .map(|(field, key, record)| contradiction(field, record, key))
            .or_else(|| (hour != self.hour).then(|| contradiction("time", record.time, self.hour)))
            .or_else(|| (record.seq < self.seq).then(|| contradiction("seq", record.seq, self.seq)))
    }

    /// Gives a record what its host did not know about itself and the key does.
    pub fn complete(&self, mut record: Record) -> Record {
        let host = &mut record.host;
        for (field, known) in [
            (&mut host.account, self.account.as_str()),
            (&mut host.region, &self.region),
            (&mut host.instance_id, self.user.instance()),
        ] {
            if field.is_empty() {
                known.clone_into(field);
            }
        }
        record
    }
}

impl UserId {
    /// `AROA…`, where it is known.
    pub fn role_id(&self) -> Option<&str> {
        match self {
            Self::Session { role_id, .. } => Some(role_id),
            Self::Instance(_) => None,
        }
    }

    /// `i-…`
    pub fn instance(&self) -> &str {
        match self {
            Self::Session { instance, .. } | Self::Instance(instance) => instance,
        }
    }
}

impl BootId {
    /// As the kernel prints it: lower case, with dashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            hour,
            account,
            region,
            user,
            boot,
            seq,
        } = self;
        let hour = hour.strftime("dt=%Y-%m-%d/hr=%H");
        write!(
            f,
            "{PREFIX}/{hour}/account={account}/region={region}/{user}/{boot}-{seq:020}.jsonl"
        )
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix(PREFIX).and_then(|t| t.strip_prefix('/'));
        let mut parts = rest.ok_or(KeyError { part: "prefix" })?.split('/');
        let mut named = |part: &'static str, name: &str| {
            let value = parts.next().and_then(|p| p.strip_prefix(name));
            value.ok_or(KeyError { part })
        };
        let day: Date = parsed(named("day", "dt=")?, "day")?;
        let hour: i8 = parsed(named("hour", "hr=")?, "hour")?;
        require((0..24).contains(&hour), "hour")?;
        let hour = TimeZone::UTC.to_timestamp(day.at(hour, 0, 0, 0));
        let account = named("account", "account=")?;
        require(is_account(account), "account")?;
        let region = named("region", "region=")?;
        require(is_region(region), "region")?;
        let user = named("user id", "")?.parse()?;
        let (boot, seq) = named("file name", "")?
            .strip_suffix(".jsonl")
            .and_then(|name| name.rsplit_once('-'))
            .ok_or(KeyError { part: "file name" })?;
        let key = Self {
            hour: hour.map_err(|_| KeyError { part: "hour" })?,
            account: account.to_owned(),
            region: region.to_owned(),
            user,
            boot: boot.parse()?,
            seq: parsed(seq, "sequence number")?,
        };
        // Numbers and dates have other spellings (`+1`, `2026-5-4`); a key has one.
        require(key.to_string() == text, "spelling")?;
        Ok(key)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session { role_id, instance } => write!(f, "{role_id}:{instance}"),
            Self::Instance(instance) => f.write_str(instance),
        }
    }
}

impl FromStr for UserId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (role_id, instance) = match text.split_once(':') {
            Some((role_id, instance)) => (Some(role_id), instance),
            None => (None, text),
        };
        require(is_instance(instance), "instance id")?;
        let instance = instance.to_owned();
        Ok(match role_id {
            None => Self::Instance(instance),
            Some(role_id) => {
                require(is_role_id(role_id), "role id")?;
                let role_id = role_id.to_owned();
                Self::Session { role_id, instance }
            }
        })
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BootId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let groups = text.split('-');
        let lengths = groups.clone().map(str::len).eq([8, 4, 4, 4, 12]);
        let hex = groups.flat_map(str::bytes).all(is_lower_hex);
        require(lengths && hex, "boot id")?;
        Ok(Self(text.to_owned()))
    }
}

/// The time at which the hour of `time` begins, in UTC.
pub(crate) fn hour_of(time: Timestamp) -> Timestamp {
    let second = time.as_second();
    // Only the first hour of the year -9999 begins before the first timestamp that there is.
    Timestamp::from_second(second - second.rem_euclid(3600)).unwrap_or(Timestamp::MIN)
}

fn contradiction(
    field: &'static str,
    record: impl fmt::Display,
    key: impl fmt::Display,
) -> Contradiction {
    Contradiction {
        field,
        record: record.to_string(),
        key: key.to_string(),
    }
}

fn parsed<T: FromStr>(text: &str, part: &'static str) -> Result<T, KeyError> {
    text.parse().map_err(|_| KeyError { part })
}

fn require(holds: bool, part: &'static str) -> Result<(), KeyError> {
    if holds {
        Ok(())
    } else {
        Err(KeyError { part })
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

pub(crate) fn is_region(text: &str) -> bool {
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(letters)
}

fn is_instance(text: &str) -> bool {
    let hex = text.strip_prefix("i-").unwrap_or_default();
    (1..=32).contains(&hex.len()) && hex.bytes().all(is_lower_hex)
}

fn is_role_id(text: &str) -> bool {
    let rest = text.strip_prefix("AROA").unwrap_or_default();
    let letters = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    (1..=124).contains(&rest.len()) && rest.bytes().all(letters)
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

#[cfg(test)]
mod tests;
