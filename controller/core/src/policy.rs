//! A policy document that can only deny.
//!
//! There is no field for an effect: what this module writes says `"Effect": "Deny"`, and a text that
//! says anything else does not parse (invariant 6). The JSON is canonical, so equal documents are
//! equal texts and a digest tells whether anything is to be written.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::Arc,
};

use ipnet::IpNet;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::{id::Arn, request::Key};

#[cfg(test)]
pub(crate) mod arbitrary;
mod both;
mod parse;
mod seal;
mod size;
mod write;

pub use both::Both;
pub use parse::{ParseError, Place, Problem};
pub use seal::SEAL_LENGTH;
pub(crate) use size::of_nets;

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
    /// What it applies to: most often the same for all statements of a pin, which then share it.
    pub actions: Arc<Actions>,
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
    /// `StringNotEqualsIfExists`: the same in other words, so that a statement can have two lists of one key.
    StringNotEqualsIfExists(Vec<Text>),
    /// `StringLike`: that some value matches one of these, `*` and `?` being wild.
    StringLike(Vec<Text>),
    /// `IpAddress`: that some value lies in one of these prefixes.
    IpAddress(Vec<IpNet>),
    /// `NotIpAddress`: that no value lies in any of these; true where the key is absent.
    NotIpAddress(Vec<IpNet>),
    /// `NotIpAddressIfExists`: the same in other words, so that a statement can have two lists of one key.
    NotIpAddressIfExists(Vec<IpNet>),
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
    StringNotEqualsIfExists,
    StringLike,
    IpAddress,
    NotIpAddress,
    NotIpAddressIfExists,
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

impl Statement {
    /// A statement without a condition, on every resource.
    pub fn deny(sid: impl Into<String>, actions: impl Into<Arc<Actions>>) -> Self {
        Self {
            sid: sid.into(),
            actions: actions.into(),
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

    /// Its conditions; all must hold for it to deny.
    pub fn conditions(&self) -> impl Iterator<Item = (Key, &Test)> {
        self.conditions.iter().map(|((_, key), test)| (*key, test))
    }
}

/// The same statements, each once and under a name of its own, so that they can be put into one document. What says
/// something else under a name that is taken gets a number behind it.
pub(crate) fn distinct(statements: impl IntoIterator<Item = Statement>) -> Vec<Statement> {
    let mut all: Vec<Statement> = Vec::new();
    for mut statement in statements {
        if all.contains(&statement) {
            continue;
        }
        let name = statement.sid.clone();
        let mut number = 1;
        while all.iter().any(|it| it.sid == statement.sid) {
            number += 1;
            statement.sid = format!("{name}{number}");
        }
        all.push(statement);
    }
    all
}

impl Test {
    fn operator(&self) -> Operator {
        match self {
            Test::Null(_) => Operator::Null,
            Test::BoolIfExists(_) => Operator::BoolIfExists,
            Test::DateLessThan(_) => Operator::DateLessThan,
            Test::StringEquals(_) => Operator::StringEquals,
            Test::StringNotEquals(_) => Operator::StringNotEquals,
            Test::StringNotEqualsIfExists(_) => Operator::StringNotEqualsIfExists,
            Test::StringLike(_) => Operator::StringLike,
            Test::IpAddress(_) => Operator::IpAddress,
            Test::NotIpAddress(_) => Operator::NotIpAddress,
            Test::NotIpAddressIfExists(_) => Operator::NotIpAddressIfExists,
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
            | Test::StringNotEqualsIfExists(texts)
            | Test::StringLike(texts)
            | Test::ArnEquals(texts) => texts.iter().map(Text::to_string).collect(),
            // IpNet always writes a prefix length, `/32` too, as IAM wants it.
            Test::IpAddress(nets) | Test::NotIpAddress(nets) | Test::NotIpAddressIfExists(nets) => {
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
            Operator::StringNotEqualsIfExists => "StringNotEqualsIfExists",
            Operator::StringLike => "StringLike",
            Operator::IpAddress => "IpAddress",
            Operator::NotIpAddress => "NotIpAddress",
            Operator::NotIpAddressIfExists => "NotIpAddressIfExists",
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
