//! A file that describes a host, or a fleet of them: TOML, or the same in JSON.
//!
//! ```text
//!   text ──> source.rs: one value ──┬─ its [[host]] tables, each over what stands at the top
//!            and the lines in it    └─ or the one host that stands there
//!                                        │
//!                                        ▼
//!                            Described { host: Host, imds: Imds }
//! ```
//!
//! What is wrong is told with the file, the line and the key.

mod source;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fault::FaultSpec;
use crate::hop_limit::HopLimit;
use crate::host::{Host, MAX_USER_DATA_BYTES};
use crate::merge::merge;
use crate::schedule::{LIFETIME, Schedule, ScheduleError};
use crate::state::Settings;
use source::{Source, Step};

/// A description with every key, its default and what it is: TOML.
pub const EXAMPLE: &str = include_str!("describe/example.toml");

/// A host, and how the metadata service on it behaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Described {
    /// What the service says about the host.
    pub host: Host,
    /// What the service is like.
    pub imds: Imds,
}

/// The table `[imds]` of a description: the metadata service of a host. What is absent is left to
/// whoever starts it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Imds {
    /// Where it listens.
    pub listen: Option<SocketAddr>,
    /// Whether requests need a session token.
    pub tokens: Option<Tokens>,
    /// `false` answers every request with 403.
    pub enabled: Option<bool>,
    /// How many hops the answer to a PUT for a token gets.
    pub hop_limit: Option<HopLimit>,
    /// How long credentials live.
    pub credential_lifetime: Option<SignedDuration>,
    /// How often there are new ones.
    pub rotate_every: Option<SignedDuration>,
    /// What goes wrong from the start: texts such as `/latest:503:p=0.2`.
    #[serde(deserialize_with = "faults")]
    pub faults: Vec<FaultSpec>,
}

/// Whether requests need a session token (`HttpTokens`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tokens {
    /// IMDSv1 is served too.
    Optional,
    /// IMDSv2 only.
    Required,
}

/// Why a description is none.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// The file is not there, or not to be read.
    #[error("cannot read {}, which should describe a host", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is neither TOML nor JSON.
    #[error("{}:{line}: this is no description: {what}", .file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A key is unknown, or its value is not what it should be.
    #[error("{}:{line}: {key}: {what}", .file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// The key, as `host[1].interface.mac`.
        key: String,
        /// What is wrong.
        what: String,
    },
}

/// An error and its cause, in one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", told(cause)),
        None => error.to_string(),
    }
}

/// Reads the description in `file`: one host or more, in the file's order.
pub fn read(file: &Path) -> Result<Vec<Described>, DescribeError> {
    let text = std::fs::read_to_string(file).map_err(|source| DescribeError::Read {
        file: file.to_owned(),
        source,
    })?;
    parse(file, &text)
}

/// Reads the description `text`, which stands in `file`: messages name it, and user data that is
/// in a file of its own is looked for beside it.
pub fn parse(file: &Path, text: &str) -> Result<Vec<Described>, DescribeError> {
    let source = Source::new(file, text);
    let mut base = source.value()?;
    let hosts = match base.as_object_mut().and_then(|top| top.remove("host")) {
        None => return Ok(vec![described(&source, base, None)?]),
        Some(Value::Array(hosts)) if !hosts.is_empty() => hosts,
        Some(_) => {
            let what = "hosts are tables, one [[host]] each".into();
            return Err(mistake(&source, None, &[key("host")], what));
        }
    };
    let mut ids = BTreeMap::new();
    let mut all = Vec::new();
    for (number, over) in hosts.into_iter().enumerate() {
        let mut value = base.clone();
        merge(&mut value, over);
        let host = described(&source, value, Some(number))?;
        if let Some(other) = ids.insert(host.host.instance_id.clone(), number) {
            let what = format!(
                "`{}` is host[{other}] already: each host of a fleet has an id of its own",
                host.host.instance_id
            );
            return Err(mistake(&source, Some(number), &[key("instance-id")], what));
        }
        all.push(host);
    }
    Ok(all)
}

/// One host. `number` is its place among several.
fn described(
    source: &Source<'_>,
    mut value: Value,
    number: Option<usize>,
) -> Result<Described, DescribeError> {
    let imds = value
        .as_object_mut()
        .and_then(|top| top.remove("imds"))
        .unwrap_or_else(|| json!({}));
    let imds: Imds = typed(source, imds, number, &[key("imds")])?;
    if let Err(error) = imds.schedule() {
        let at = match error {
            ScheduleError::NotSeconds { what: LIFETIME, .. } => "credential-lifetime",
            _ => "rotate-every",
        };
        let path = [key("imds"), key(at)];
        return Err(mistake(source, number, &path, error.to_string()));
    }
    if let Some(data) = value.get_mut("user-data") {
        load_user_data(source, data, number)?;
    }
    let host = typed(source, value, number, &[])?;
    Ok(Described { host, imds })
}

impl Imds {
    /// `settings` with what is said here in their place; the faults come after theirs.
    pub fn over(self, mut settings: Settings) -> Result<Settings, ScheduleError> {
        if let Some(tokens) = self.tokens {
            settings.imdsv2_only = tokens == Tokens::Required;
        }
        if let Some(enabled) = self.enabled {
            settings.disabled = !enabled;
        }
        if self.credential_lifetime.is_some() || self.rotate_every.is_some() {
            settings.schedule = self.schedule()?;
        }
        settings.hop_limit = self.hop_limit.or(settings.hop_limit);
        settings.faults.extend(self.faults);
        Ok(settings)
    }

    /// The schedule of credentials. What is not said is as EC2 has it.
    fn schedule(&self) -> Result<Schedule, ScheduleError> {
        Schedule::new(self.credential_lifetime, self.rotate_every)
    }
}

/// Reads `user-data = { file = "…" }`.
fn load_user_data(
    source: &Source<'_>,
    data: &mut Value,
    number: Option<usize>,
) -> Result<(), DescribeError> {
    let Some(Value::String(name)) = data.get("file") else {
        return Ok(());
    };
    let file = source.folder().join(name);
    let mut bytes = Vec::new();
    // One byte more than is allowed: then it is told that it is too long.
    let limit = MAX_USER_DATA_BYTES as u64 + 1;
    let read = File::open(&file).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    if let Err(error) = read {
        let what = format!("cannot read {}: {error}", file.display());
        return Err(mistake(
            source,
            number,
            &[key("user-data"), key("file")],
            what,
        ));
    }
    *data = json!({ "base64": STANDARD.encode(bytes) });
    Ok(())
}

/// `value` as what it should be. It stands at `path`.
fn typed<T: DeserializeOwned>(
    source: &Source<'_>,
    value: Value,
    number: Option<usize>,
    path: &[Step],
) -> Result<T, DescribeError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let below = error.path().iter().map(step);
        let path: Vec<Step> = path.iter().cloned().chain(below).collect();
        mistake(source, number, &path, error.inner().to_string())
    })
}

/// What is wrong at `path`, which is in the host's own table or at the top, for all hosts.
fn mistake(
    source: &Source<'_>,
    number: Option<usize>,
    path: &[Step],
    what: String,
) -> DescribeError {
    let own = number.map(|number| {
        let mut own = vec![key("host"), Step::Index(number)];
        own.extend_from_slice(path);
        own
    });
    let places = own.iter().map(Vec::as_slice).chain([path]);
    let found = places
        .clone()
        .find_map(|place| Some((source.line(place)?, place)));
    // A part that is missing is missed where the nearest part is that is not.
    let (line, path) = found.unwrap_or_else(|| {
        let place = own.as_deref().unwrap_or(path);
        let nearest = (0..place.len())
            .rev()
            .find_map(|end| source.line(&place[..end]));
        (nearest.unwrap_or(1), place)
    });
    DescribeError::Value {
        file: source.file(),
        line,
        key: written(path),
        what,
    }
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

fn step(segment: &serde_path_to_error::Segment) -> Step {
    match segment {
        serde_path_to_error::Segment::Seq { index } => Step::Index(*index),
        other => Step::Key(other.to_string()),
    }
}

/// `host[1].interface.mac`
fn written(path: &[Step]) -> String {
    let parts = path.iter().enumerate().map(|(place, step)| match step {
        Step::Index(index) => format!("[{index}]"),
        Step::Key(key) if place == 0 => key.clone(),
        Step::Key(key) => format!(".{key}"),
    });
    parts.collect()
}

/// Faults as they stand on a command line.
fn faults<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<FaultSpec>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .collect()
}
