//! The JSON of a document: canonical, so that equal documents are equal texts.
//!
//! Elements, operators and keys are written in an order of their own, whatever features `serde_json` has.

use std::fmt;

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeStruct},
};

use super::{Actions, Document, Resources, Statement, Test};

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Document", 2)?;
        document.serialize_field("Version", "2012-10-17")?;
        document.serialize_field("Statement", &self.statements)?;
        document.end()
    }
}

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (word, patterns) = match &*self.actions {
            Actions::Only(patterns) => ("Action", patterns),
            Actions::AllBut(patterns) => ("NotAction", patterns),
        };
        let mut statement = serializer.serialize_struct("Statement", 5)?;
        statement.serialize_field("Sid", &self.sid)?;
        statement.serialize_field("Effect", "Deny")?;
        statement.serialize_field(word, &Values(patterns))?;
        match &self.resources {
            Resources::Every => statement.serialize_field("Resource", "*")?,
            Resources::Only(arns) => statement.serialize_field("Resource", &Values(arns))?,
        }
        let mut conditions: Vec<Condition<'_>> = self
            .conditions
            .iter()
            .map(|((operator, key), test)| (operator.name(), key.name(), test))
            .collect();
        conditions.sort_unstable_by_key(|(operator, key, _)| (*operator, *key));
        if conditions.is_empty() {
            statement.skip_field("Condition")?;
        } else {
            statement.serialize_field("Condition", &Conditions(&conditions))?;
        }
        statement.end()
    }
}

/// The names of an operator and of a key, and what is asked.
type Condition<'a> = (&'static str, &'static str, &'a Test);

/// Conditions in the order of their names, by operator.
struct Conditions<'a>(&'a [Condition<'a>]);

impl Serialize for Conditions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut operators = serializer.serialize_map(None)?;
        for keys in self.0.chunk_by(|one, next| one.0 == next.0) {
            operators.serialize_entry(keys[0].0, &Keys(keys))?;
        }
        operators.end()
    }
}

/// Conditions of one operator.
struct Keys<'a>(&'a [Condition<'a>]);

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut keys = serializer.serialize_map(Some(self.0.len()))?;
        for (_, key, test) in self.0 {
            keys.serialize_entry(key, &Asked(test))?;
        }
        keys.end()
    }
}

/// The values of a condition.
struct Asked<'a>(&'a Test);

impl Serialize for Asked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Test::Null(value) | Test::BoolIfExists(value) => serializer.collect_str(value),
            Test::DateLessThan(time) => serializer.collect_str(time),
            Test::StringEquals(texts)
            | Test::StringNotEquals(texts)
            | Test::StringNotEqualsIfExists(texts)
            | Test::StringLike(texts)
            | Test::ArnEquals(texts) => Values(texts).serialize(serializer),
            // IpNet always writes a prefix length, `/32` too, as IAM wants it.
            Test::IpAddress(nets) | Test::NotIpAddress(nets) | Test::NotIpAddressIfExists(nets) => {
                Values(nets).serialize(serializer)
            }
        }
    }
}

/// Values as IAM writes them: a single one bare, since brackets count against the quota.
struct Values<'a, T>(&'a [T]);

impl<T: fmt::Display> Serialize for Values<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [one] => serializer.collect_str(one),
            many => serializer.collect_seq(many.iter().map(Value)),
        }
    }
}

struct Value<'a, T>(&'a T);

impl<T: fmt::Display> Serialize for Value<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}
