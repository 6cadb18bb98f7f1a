//! CloudTrail's files, written to the documented format: for any seed the same, byte for byte.
//!
//! ```text
//!  Caller ──▶ Call ──▶ Trail ──▶ AWSLogs/ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/….json.gz
//!  incident::incident: the theft that `credpin trace` is for, among other people's calls
//!  suspicion::suspicion: something for every rule of `credpin detect`
//!  bulk::bulk: as much as is asked for, to measure with
//! ```

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use anyhow::{Context, Result};
use flate2::{Compression, write::GzEncoder};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub mod bulk;
pub mod incident;
pub mod suspicion;

/// The account that everything is in.
pub const ACCOUNT: &str = "111122223333";
/// The region that everything is in.
pub const REGION: &str = "eu-west-1";

/// Numbers that look random, from a seed (`SplitMix64`).
#[derive(Clone, Debug)]
pub struct Dice(u64);

/// Who calls: what `userIdentity` says.
#[derive(Clone, Debug)]
pub struct Caller {
    identity: Value,
}

/// A record in the making.
#[derive(Clone, Debug)]
pub struct Call {
    record: Value,
}

/// Records, to be written as files.
#[derive(Clone, Debug)]
pub struct Trail {
    dice: Dice,
    records: Vec<(Timestamp, Value)>,
}

impl Dice {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..sides`.
    pub fn of(&mut self, sides: usize) -> usize {
        usize::try_from(self.roll() % sides as u64).unwrap_or(0)
    }

    /// An event's id.
    pub fn uuid(&mut self) -> String {
        let (a, b) = (self.roll(), self.roll());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            b >> 48 & 0xfff,
            b & 0xffff_ffff_ffff
        )
    }
}

impl Caller {
    /// A user with a key, long-lived (`AKIA…`) or from `GetSessionToken` without MFA (`ASIA…`).
    pub fn user(name: &str, key: &str) -> Self {
        let mut identity = json!({
            "type": "IAMUser",
            "principalId": format!("AIDA{}EXAMPLE", name.to_uppercase()),
            "arn": format!("arn:aws:iam::{ACCOUNT}:user/{name}"),
            "accountId": ACCOUNT,
            "accessKeyId": key,
            "userName": name,
        });
        if key.starts_with("ASIA") {
            identity["sessionContext"] = json!({
                "attributes": {"creationDate": "2026-05-01T09:00:00Z", "mfaAuthenticated": "false"},
            });
        }
        Self { identity }
    }

    /// A role's session with a key.
    pub fn session(role: &str, session: &str, key: &str) -> Self {
        let id = format!("AROA{}EXAMPLE", role.to_uppercase());
        Self {
            identity: json!({
                "type": "AssumedRole",
                "principalId": format!("{id}:{session}"),
                "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}"),
                "accountId": ACCOUNT,
                "accessKeyId": key,
                "sessionContext": {
                    "sessionIssuer": {
                        "type": "Role",
                        "principalId": id,
                        "arn": format!("arn:aws:iam::{ACCOUNT}:role/{role}"),
                        "accountId": ACCOUNT,
                        "userName": role,
                    },
                    "attributes": {"creationDate": "2026-05-01T09:00:00Z", "mfaAuthenticated": "false"},
                },
            }),
        }
    }

    /// The role's credential on an instance, delivered by IMDSv2 in `vpc`.
    pub fn instance(role: &str, instance: &str, vpc: &str, key: &str) -> Self {
        let mut caller = Self::session(role, instance, key);
        caller.identity["sessionContext"]["ec2RoleDelivery"] = json!("2.0");
        caller.identity["sessionContext"]["ec2IssuedInVpc"] = json!(vpc);
        caller
    }

    /// The same caller, whose credential was issued then.
    #[must_use]
    pub fn issued(mut self, at: Timestamp) -> Self {
        let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.identity["sessionContext"]["attributes"]["creationDate"] = json!(at);
        self
    }

    /// The same, by that version of IMDS (`1.0`, `2.0`).
    #[must_use]
    pub fn delivered_by(mut self, version: &str) -> Self {
        self.identity["sessionContext"]["ec2RoleDelivery"] = json!(version);
        self
    }

    /// A service of AWS, for itself.
    pub fn service(name: &str) -> Self {
        Self {
            identity: json!({"type": "AWSService", "invokedBy": name}),
        }
    }

    /// The same caller, for whom a service makes the call.
    #[must_use]
    pub fn through(mut self, service: &str) -> Self {
        self.identity["invokedBy"] = json!(service);
        self
    }
}

impl Call {
    /// `who` calls `name` of `service` (as `s3`) from an address, in a region that has it.
    pub fn new(who: &Caller, service: &str, name: &str, from: &str) -> Self {
        Self {
            record: json!({
                "eventVersion": "1.11",
                "userIdentity": who.identity,
                "eventSource": format!("{service}.amazonaws.com"),
                "eventName": name,
                "awsRegion": REGION,
                "sourceIPAddress": from,
                "userAgent": "aws-cli/2.27.1 md/awscrt#0.26.1 ua/2.1 os/linux#6.1 lang/python#3.13",
                "requestParameters": null,
                "responseElements": null,
                "readOnly": true,
                "eventType": "AwsApiCall",
                "managementEvent": true,
                "recipientAccountId": ACCOUNT,
                "eventCategory": "Management",
            }),
        }
    }

    /// The call hands out `key`, which is good for `seconds`.
    #[must_use]
    pub fn hands_out(self, key: &str, at: Timestamp, seconds: i64) -> Self {
        let ends = at + SignedDuration::from_secs(seconds);
        let ends = ends.strftime("%b %-d, %Y, %-I:%M:%S %p").to_string();
        self.with("requestParameters", json!({"durationSeconds": seconds}))
            .with(
                "responseElements",
                json!({"credentials": {
                    "accessKeyId": key,
                    "sessionToken": "<encoded session token blob>",
                    "expiration": ends,
                }}),
            )
    }

    /// The key is a session of a role.
    #[must_use]
    pub fn of_role(mut self, role: &str, session: &str) -> Self {
        let request = &mut self.record["requestParameters"];
        request["roleArn"] = json!(format!("arn:aws:iam::{ACCOUNT}:role/{role}"));
        request["roleSessionName"] = json!(session);
        self.record["responseElements"]["assumedRoleUser"] = json!({
            "assumedRoleId": format!("AROA{}EXAMPLE:{session}", role.to_uppercase()),
            "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}"),
        });
        self
    }

    /// It was refused, with this message.
    #[must_use]
    pub fn denied(self, message: &str) -> Self {
        self.with("errorCode", json!("AccessDenied"))
            .with("errorMessage", json!(message))
    }

    /// It came by a VPC endpoint.
    #[must_use]
    pub fn by_endpoint(self, endpoint: &str) -> Self {
        self.with("vpcEndpointId", json!(endpoint))
            .with("vpcEndpointAccountId", json!(ACCOUNT))
    }

    /// With a field of the record.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.record[field] = value;
        self
    }
}

impl Trail {
    /// None yet. `seed` makes the ids of events.
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            records: Vec::new(),
        }
    }

    /// A call at that time.
    pub fn add(&mut self, at: Timestamp, call: Call) {
        let call = call
            .with(
                "eventTime",
                json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            )
            .with("eventID", json!(self.dice.uuid()));
        self.records.push((at, call.record));
    }

    /// The same with another word for one, such as an account's id, in every record.
    pub fn renamed(mut self, from: &str, to: &str) -> Result<Self> {
        for (_, record) in &mut self.records {
            *record = serde_json::from_str(&record.to_string().replace(from, to))?;
        }
        Ok(self)
    }

    /// Writes it below `folder` as CloudTrail does: a file for every five minutes, not in order
    /// within, delivered some minutes later; and every tenth record twice, in the next file too.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut dice = self.dice.clone();
        let mut files: BTreeMap<i64, Vec<&Value>> = BTreeMap::new();
        for (number, (at, record)) in self.records.iter().enumerate() {
            let slot = at.as_second().div_euclid(300) + 1;
            files.entry(slot).or_default().push(record);
            if number % 10 == 0 {
                files.entry(slot + 1).or_default().push(record);
            }
        }
        for (slot, mut records) in files {
            for place in (1..records.len()).rev() {
                records.swap(place, dice.of(place + 1));
            }
            let at = Timestamp::from_second(slot * 300)?;
            let text = serde_json::to_string(&json!({"Records": records}))?;
            file(folder, at, dice.roll(), &text)?;
        }
        Ok(())
    }
}

/// Writes one file that was delivered `at`.
fn file(folder: &Path, at: Timestamp, random: u64, text: &str) -> Result<()> {
    let day = at.strftime("%Y/%m/%d").to_string();
    let folder = folder.join(format!("AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/{day}"));
    fs::create_dir_all(&folder)?;
    let stamp = at.strftime("%Y%m%dT%H%MZ");
    let name = format!("{ACCOUNT}_CloudTrail_{REGION}_{stamp}_{random:016x}.json.gz");
    let path = folder.join(name);
    let written = fs::File::create(&path)
        .map(|file| GzEncoder::new(file, Compression::default()))
        .and_then(|mut gzip| {
            gzip.write_all(text.as_bytes())?;
            gzip.finish()
        });
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
