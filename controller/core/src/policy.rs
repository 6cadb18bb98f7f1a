//! A policy document that can only deny.
//!
//! There is no field for an effect: what this module writes says `"Effect": "Deny"`, and a text that
//! says anything else does not parse (invariant 6). The JSON is canonical, so equal documents are
//! equal texts and a digest tells whether anything is to be written.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use sha2::{Digest as _, Sha256};

use crate::{id::Arn, request::Key};

#[cfg(test)]
pub(crate) mod arbitrary;
mod both;
mod parse;
mod seal;

pub use both::Both;
pub use parse::{ParseError, Place, Problem};
pub use seal::SEAL_LENGTH;

/// Characters of a managed policy, blanks not counted (IAM User Guide, "IAM and STS quotas").
pub const MANAGED_POLICY_QUOTA: usize = 6144;

const ALWAYS_JSON: &str = "text and lists under text keys always have a JSON form";

/// A policy document: statements that each deny.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The statements. A call passes only if every one of them admits it.
    pub statements: Vec<Statement>,
}

/// A statement that denies what its actions, its resources and all of its conditions match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its name, unique in the document: letters and digits.
    pub sid: String,
    /// What it applies to.
    pub actions: Actions,
    /// What these are done to.
    pub resources: Resources,
    conditions: BTreeMap<(Operator, Key), Test>,
}

/// The actions that a statement applies to; patterns with `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actions {
    /// `Action`: these.
    Only(Vec<String>),
    /// `NotAction`: all but these.
    AllBut(Vec<String>),
}

/// The resources that a statement applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resources {
    /// `"Resource": "*"`: every one, and calls that are made on none.
    Every,
    /// `Resource`: those with these ARNs, `*` and `?` being wild in the last part.
    Only(Vec<Arn>),
}

/// What a condition asks of a key. IAM's rule for absent keys is part of each (IAM User Guide, "IAM
/// JSON policy elements: Condition operators").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// `Null`: with `true`, that the key is absent; with `false`, that it is present.
    Null(bool),
    /// `BoolIfExists`: that the key has this value, or is absent.
    BoolIfExists(bool),
    /// `DateLessThan`: that the value is a time before this one.
    DateLessThan(Timestamp),
    /// `StringEquals`: that some value is one of these.
    StringEquals(Vec<Text>),
    /// `StringNotEquals`: that no value is one of these; true where the key is absent.
    StringNotEquals(Vec<Text>),
    /// `StringLike`: that some value matches one of these, `*` and `?` being wild.
    StringLike(Vec<Text>),
    /// `IpAddress`: that some value lies in one of these prefixes.
    IpAddress(Vec<IpNet>),
    /// `NotIpAddress`: that no value lies in any of these; true where the key is absent.
    NotIpAddress(Vec<IpNet>),
    /// `ArnEquals`: that some value is one of these ARNs, `*` and `?` being wild in each part.
    ArnEquals(Vec<Text>),
}

/// The name of a [`Test`] in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operator {
    Null,
    BoolIfExists,
    DateLessThan,
    StringEquals,
    StringNotEquals,
    StringLike,
    IpAddress,
    NotIpAddress,
    ArnEquals,
}

/// A value in a string or ARN condition: literal text and policy variables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(pub Vec<Piece>);

/// A part of a [`Text`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// As it stands, but for the wildcards of `StringLike` and `ArnEquals`.
    Literal(String),
    /// `${key}`: the request's value of that key. Where that is absent, the whole value matches
    /// nothing, and a negated operator is true of it.
    Variable(Key),
}

/// The SHA-256 of a document's canonical text, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Digest(String);

impl Document {
    /// The canonical JSON, without blanks.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect(ALWAYS_JSON)
    }

    /// The same, laid out for a person.
    pub fn to_json_pretty(&self) -> String {
        serde_json::to_string_pretty(self).expect(ALWAYS_JSON)
    }

    /// Its length as IAM counts it against [`MANAGED_POLICY_QUOTA`].
    pub fn size(&self) -> usize {
        counted(&self.to_json())
    }

    /// What tells it from every other document.
    pub fn digest(&self) -> Digest {
        Digest::of_bytes(self.to_json().as_bytes())
    }

    /// Its length once it is sealed. What is empty has no statement to seal.
    pub fn sealed_size(&self) -> usize {
        let seal = if self.statements.is_empty() {
            0
        } else {
            SEAL_LENGTH
        };
        self.size() + seal
    }

    /// Reads a document of this module's shape; anything else, an `Allow` first of all, is an error.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::document(text)
    }
}

/// Characters of a text, blanks not counted (IAM User Guide, "IAM and STS quotas").
fn counted(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Document", 2)?;
        document.serialize_field("Version", "2012-10-17")?;
        document.serialize_field("Statement", &self.statements)?;
        document.end()
    }
}

impl Statement {
    /// A statement without a condition, on every resource.
    pub fn deny(sid: impl Into<String>, actions: Actions) -> Self {
        Self {
            sid: sid.into(),
            actions,
            resources: Resources::Every,
            conditions: BTreeMap::new(),
        }
    }

    /// The same on these resources only.
    #[must_use]
    pub fn on(mut self, resources: Vec<Arn>) -> Self {
        self.resources = Resources::Only(resources);
        self
    }

    /// The same with one more condition. JSON has one place for each operator and key, so a second
    /// condition with both the same takes the place of the first.
    #[must_use]
    pub fn when(mut self, key: Key, test: Test) -> Self {
        self.conditions.insert((test.operator(), key), test);
        self
    }

    /// Its length in a document as IAM counts it, without the comma between two.
    pub fn size(&self) -> usize {
        counted(&serde_json::to_string(self).expect(ALWAYS_JSON))
    }

    /// Its conditions; all must hold for it to deny.
    pub fn conditions(&self) -> impl Iterator<Item = (Key, &Test)> {
        self.conditions.iter().map(|((_, key), test)| (*key, test))
    }
}

/// Elements are written in a fixed order of their own, whatever features `serde_json` has.
impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (word, patterns) = match &self.actions {
            Actions::Only(patterns) => ("Action", patterns),
            Actions::AllBut(patterns) => ("NotAction", patterns),
        };
        let mut conditions: BTreeMap<&str, BTreeMap<&str, Values>> = BTreeMap::new();
        for ((operator, key), test) in &self.conditions {
            let keys = conditions.entry(operator.name()).or_default();
            keys.insert(key.name(), Values(test.values()));
        }
        let mut statement = serializer.serialize_struct("Statement", 5)?;
        statement.serialize_field("Sid", &self.sid)?;
        statement.serialize_field("Effect", "Deny")?;
        statement.serialize_field(word, &Values(patterns.clone()))?;
        statement.serialize_field("Resource", &Values(self.resources.values()))?;
        if conditions.is_empty() {
            statement.skip_field("Condition")?;
        } else {
            statement.serialize_field("Condition", &conditions)?;
        }
        statement.end()
    }
}

/// Values as IAM writes them: a single one bare, since brackets count against the quota.
struct Values(Vec<String>);

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl Resources {
    fn values(&self) -> Vec<String> {
        match self {
            Resources::Every => vec!["*".to_owned()],
            Resources::Only(arns) => arns.iter().map(Arn::to_string).collect(),
        }
    }
}

impl Test {
    fn operator(&self) -> Operator {
        match self {
            Test::Null(_) => Operator::Null,
            Test::BoolIfExists(_) => Operator::BoolIfExists,
            Test::DateLessThan(_) => Operator::DateLessThan,
            Test::StringEquals(_) => Operator::StringEquals,
            Test::StringNotEquals(_) => Operator::StringNotEquals,
            Test::StringLike(_) => Operator::StringLike,
            Test::IpAddress(_) => Operator::IpAddress,
            Test::NotIpAddress(_) => Operator::NotIpAddress,
            Test::ArnEquals(_) => Operator::ArnEquals,
        }
    }

    /// Its values as they stand in the document.
    pub fn values(&self) -> Vec<String> {
        match self {
            Test::Null(value) | Test::BoolIfExists(value) => vec![value.to_string()],
            Test::DateLessThan(time) => vec![time.to_string()],
            Test::StringEquals(texts)
            | Test::StringNotEquals(texts)
            | Test::StringLike(texts)
            | Test::ArnEquals(texts) => texts.iter().map(Text::to_string).collect(),
            // IpNet always writes a prefix length, `/32` too, as IAM wants it.
            Test::IpAddress(nets) | Test::NotIpAddress(nets) => {
                nets.iter().map(IpNet::to_string).collect()
            }
        }
    }
}

impl Operator {
    fn name(self) -> &'static str {
        match self {
            Operator::Null => "Null",
            Operator::BoolIfExists => "BoolIfExists",
            Operator::DateLessThan => "DateLessThan",
            Operator::StringEquals => "StringEquals",
            Operator::StringNotEquals => "StringNotEquals",
            Operator::StringLike => "StringLike",
            Operator::IpAddress => "IpAddress",
            Operator::NotIpAddress => "NotIpAddress",
            Operator::ArnEquals => "ArnEquals",
        }
    }
}

impl Text {
    /// Text that stands for itself.
    pub fn literal(text: impl fmt::Display) -> Self {
        Self(vec![Piece::Literal(text.to_string())])
    }

    /// The value of a key of the request.
    pub fn variable(key: Key) -> Self {
        Self(vec![Piece::Variable(key)])
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                // A dollar sign must not turn the text behind it into a variable.
                Piece::Literal(text) => f.write_str(&text.replace('$', "${$}"))?,
                Piece::Variable(key) => write!(f, "${{{key}}}")?,
            }
        }
        Ok(())
    }
}

impl Digest {
    /// Of a document as IAM has it. One that is laid out another way, and says the same, has the same.
    pub fn of_text(text: &str) -> Self {
        match Document::parse(text) {
            Ok(document) => document.digest(),
            Err(_) => Self::of_bytes(text.trim().as_bytes()),
        }
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(bytes) {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Self(hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
