//! Reads a policy document of the shape that we write, and no other.
//!
//! IAM's language is larger. What lies outside is an error that says where it is and what it is,
//! because a part that we did not understand is a part that we cannot prove anything about.
//! Elements, operators and the effect are taken in IAM's own spelling only; names of condition keys
//! in any case (IAM User Guide, "IAM JSON policy elements: Condition").

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;
use thiserror::Error;

use self::json::Json;
use super::{Actions, Document, Piece, Resources, Statement, Test, Text};
use crate::{id::Arn, request::Key};

mod json;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

/// A text that is not a policy document of ours.
#[derive(Debug, Error)]
pub enum ParseError {
    /// It is no JSON, or an object in it names a key twice.
    #[error("a policy document must be JSON that writes no key twice")]
    Json(#[source] serde_json::Error),
    /// An element is not as we write it.
    #[error("{place}: {problem}")]
    Element {
        /// The way to the element, from the outside in.
        place: Place,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// The way to an element of a document, from the outside in: a statement by its Sid or else by its
/// number from 1, then an element, an operator, a condition key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(Vec<String>);

/// What is wrong with an element.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// A document of ours has it.
    #[error("is missing")]
    Missing,
    /// A document of ours does not have it: an element, an operator or a condition key.
    #[error("is nothing that credpin writes")]
    Unknown,
    /// A second one of the same name: a Sid, or a condition key in another case.
    #[error("is there twice")]
    Twice,
    /// Another kind of JSON.
    #[error("must be {0}")]
    Shape(&'static str),
    /// The right kind of JSON with the wrong content.
    #[error("must be {wanted}, not `{found}`")]
    Value {
        /// What a document of ours says here.
        wanted: &'static str,
        /// What this one says.
        found: String,
    },
    /// A `${…}` that is not closed, has a default, or names no [`Key`].
    #[error("holds a variable that credpin does not use: `${{{0}`")]
    Variable(String),
}

/// An error on its way out, gathering its place.
struct Fault {
    /// Innermost first.
    place: Vec<String>,
    problem: Problem,
}

/// Reads one JSON value into the [`Test`] of an operator.
type Reader = fn(&Json<'_>) -> Result<Test, Fault>;

pub(super) fn document(text: &str) -> Result<Document, ParseError> {
    let json = serde_json::from_str(text).map_err(ParseError::Json)?;
    statements(&json)
        .map(|statements| Document { statements })
        .map_err(ParseError::from)
}

fn statements(json: &Json<'_>) -> Result<Vec<Statement>, Fault> {
    let [version, list] = fields(json, ["Version", "Statement"])?;
    constant(version, "2012-10-17").map_err(inside("Version"))?;
    let list = one_or_many(list.ok_or(Problem::Missing).map_err(inside("Statement"))?);
    let mut statements: Vec<Statement> = Vec::with_capacity(list.len());
    for (index, json) in list.iter().enumerate() {
        let fault = |fault: Fault| fault.inside(name(index, json));
        let statement = statement(json, statements.last()).map_err(fault)?;
        if statements.iter().any(|other| other.sid == statement.sid) {
            return Err(fault(inside("Sid")(Problem::Twice)));
        }
        statements.push(statement);
    }
    Ok(statements)
}

/// What an error calls a statement: its Sid where it has one, or its number from 1.
fn name(index: usize, statement: &Json<'_>) -> String {
    let sid = match statement {
        Json::Object(fields) => fields.iter().find(|(name, _)| name == "Sid"),
        _ => None,
    };
    match sid {
        Some((_, Json::Text(sid))) => format!("statement {sid}"),
        _ => format!("statement {}", index + 1),
    }
}

/// `before` is the statement before it, whose actions are most often the same.
fn statement(json: &Json<'_>, before: Option<&Statement>) -> Result<Statement, Fault> {
    let [id, effect, only, all_but, resource, condition] = fields(
        json,
        [
            "Sid",
            "Effect",
            "Action",
            "NotAction",
            "Resource",
            "Condition",
        ],
    )?;
    let id = sid(id).map_err(inside("Sid"))?;
    constant(effect, "Deny").map_err(inside("Effect"))?;
    let resources = resources(resource).map_err(inside("Resource"))?;
    let actions = match (only, all_but) {
        (Some(only), None) => Actions::Only(patterns(only).map_err(inside("Action"))?).into(),
        (None, Some(all_but)) => match before.filter(|before| says(&before.actions, all_but)) {
            Some(before) => before.actions.clone(),
            None => Actions::AllBut(patterns(all_but).map_err(inside("NotAction"))?).into(),
        },
        (None, None) => return Err(inside("Action or NotAction")(Problem::Missing)),
        (Some(_), Some(_)) => return Err(inside("Action or NotAction")(Problem::Twice)),
    };
    let mut statement = Statement::deny(id, actions);
    statement.resources = resources;
    match condition {
        Some(json) => conditions(statement, json).map_err(inside("Condition")),
        None => Ok(statement),
    }
}

fn sid(json: Option<&Json<'_>>) -> Result<String, Fault> {
    let sid = text(json.ok_or(Problem::Missing)?)?;
    if sid.is_empty() || !sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
        // IAM User Guide, "IAM JSON policy elements: Sid".
        return Err(value("letters and digits", sid));
    }
    Ok(sid.to_owned())
}

/// Whether `actions` are all but those that `json` lists, which then need not be read again.
fn says(actions: &Actions, json: &Json<'_>) -> bool {
    let Actions::AllBut(patterns) = actions else {
        return false;
    };
    let listed = one_or_many(json).iter().map(|json| text(json).ok());
    patterns.iter().map(|it| Some(it.as_str())).eq(listed)
}

/// Action patterns: `*`, or a service and a name with wildcards (IAM User Guide, "Grammar of the
/// IAM JSON policy language").
fn patterns(json: &Json<'_>) -> Result<Vec<String>, Fault> {
    let service = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let action = |b: u8| b.is_ascii_alphanumeric() || b == b'*' || b == b'?';
    each(json, |json| {
        let pattern = text(json)?;
        let valid = pattern.split_once(':').is_some_and(|(prefix, name)| {
            !prefix.is_empty()
                && prefix.bytes().all(service)
                && !name.is_empty()
                && name.bytes().all(action)
        });
        if pattern == "*" || valid {
            Ok(pattern.to_owned())
        } else {
            Err(value("an action as service:Name", pattern))
        }
    })
}

/// `*`, or ARNs that are wild in their last part only: what a wildcard in another part can stand for is not
/// worth knowing.
fn resources(json: Option<&Json<'_>>) -> Result<Resources, Fault> {
    let json = json.ok_or(Problem::Missing)?;
    if let [Json::Text(text)] = one_or_many(json)
        && text == "*"
    {
        return Ok(Resources::Every);
    }
    let wild = |part: &str| part.contains(['*', '?']);
    let arns = each(json, |json| {
        let found = text(json)?;
        let arn: Option<Arn> = found.parse().ok();
        arn.filter(|_| !found.contains('$') && !found.splitn(6, ':').take(5).any(wild))
            .ok_or_else(|| value("* or ARNs that are wild in their last part only", found))
    })?;
    Ok(Resources::Only(arns))
}

fn conditions(mut statement: Statement, json: &Json<'_>) -> Result<Statement, Fault> {
    for (operator, keys) in object(json)? {
        let read = reader(operator)
            .ok_or(Problem::Unknown)
            .map_err(inside(operator))?;
        for (name, json) in object(keys).map_err(inside(operator))? {
            let (key, test) = condition(&statement, read, name, json)
                .map_err(|fault| fault.inside(&**name).inside(&**operator))?;
            statement = statement.when(key, test);
        }
    }
    Ok(statement)
}

fn condition(
    statement: &Statement,
    read: Reader,
    name: &str,
    json: &Json<'_>,
) -> Result<(Key, Test), Fault> {
    let key = name.parse().map_err(|_| Problem::Unknown)?;
    let test = read(json)?;
    let twice = statement
        .conditions()
        .any(|(other, there)| other == key && there.operator() == test.operator());
    if twice {
        return Err(Problem::Twice.into());
    }
    Ok((key, test))
}

fn reader(operator: &str) -> Option<Reader> {
    let reader: Reader = match operator {
        "Null" => |json| Ok(Test::Null(truth(json)?)),
        "BoolIfExists" => |json| Ok(Test::BoolIfExists(truth(json)?)),
        "DateLessThan" => |json| Ok(Test::DateLessThan(time(json)?)),
        "StringEquals" => |json| Ok(Test::StringEquals(each(json, variables)?)),
        "StringNotEquals" => |json| Ok(Test::StringNotEquals(each(json, variables)?)),
        "StringNotEqualsIfExists" => {
            |json| Ok(Test::StringNotEqualsIfExists(each(json, variables)?))
        }
        "StringLike" => |json| Ok(Test::StringLike(each(json, variables)?)),
        "IpAddress" => |json| Ok(Test::IpAddress(each(json, prefix)?)),
        "NotIpAddress" => |json| Ok(Test::NotIpAddress(each(json, prefix)?)),
        "NotIpAddressIfExists" => |json| Ok(Test::NotIpAddressIfExists(each(json, prefix)?)),
        "ArnEquals" => |json| Ok(Test::ArnEquals(each(json, variables)?)),
        _ => return None,
    };
    Some(reader)
}

fn truth(json: &Json<'_>) -> Result<bool, Fault> {
    match one(json)? {
        Json::Bool(truth) => Ok(*truth),
        json => match text(json)? {
            "true" => Ok(true),
            "false" => Ok(false),
            found => Err(value("true or false", found)),
        },
    }
}

fn time(json: &Json<'_>) -> Result<Timestamp, Fault> {
    let found = text(one(json)?)?;
    found
        .parse()
        .map_err(|_| value("a time such as 2027-01-15T08:00:00Z", found))
}

/// Text with its variables (IAM User Guide, "IAM policy elements: Variables and tags"). `${$}` is a
/// dollar sign. `${*}` and `${?}` are not taken: in a [`Text`] these characters have one meaning.
fn variables(json: &Json<'_>) -> Result<Text, Fault> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text(json)?;
    while let Some((before, after)) = rest.split_once("${") {
        literal.push_str(before);
        let unknown = || Problem::Variable(after.to_owned());
        let (name, tail) = after.split_once('}').ok_or_else(unknown)?;
        if name == "$" {
            literal.push('$');
        } else {
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Variable(name.parse().map_err(|_| unknown())?));
        }
        rest = tail;
    }
    literal.push_str(rest);
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(Text(pieces))
}

/// A CIDR block. Bits below the prefix length do not count, so they are cleared. IAM reads an
/// address without a length as `/32` (IAM User Guide, "IAM JSON policy elements: Condition
/// operators"): for IPv4 that is the address; for IPv6 it is a mistake of 96 bits, and refused.
fn prefix(json: &Json<'_>) -> Result<IpNet, Fault> {
    let found = text(json)?;
    let net = match found.split_once('/') {
        Some((address, length)) if length.bytes().all(|b| b.is_ascii_digit()) => address
            .parse::<IpAddr>()
            .ok()
            .zip(length.parse().ok())
            .and_then(|(address, length)| IpNet::new(address, length).ok()),
        Some(_) => None,
        None => found
            .parse()
            .ok()
            .map(|host: Ipv4Addr| Ipv4Net::from(host).into()),
    };
    net.map(|net| net.trunc())
        .ok_or_else(|| value("a CIDR block", found))
}

/// The fields of an object, each where its name stands; another name is an error.
fn fields<'a, 't, const N: usize>(
    json: &'a Json<'t>,
    names: [&str; N],
) -> Result<[Option<&'a Json<'t>>; N], Fault> {
    let mut found = [None; N];
    for (name, value) in object(json)? {
        let place = names.iter().position(|known| known == name);
        found[place.ok_or(Problem::Unknown).map_err(inside(name))?] = Some(value);
    }
    Ok(found)
}

fn object<'a, 't>(json: &'a Json<'t>) -> Result<&'a [(Cow<'t, str>, Json<'t>)], Fault> {
    match json {
        Json::Object(fields) if !fields.is_empty() => Ok(fields),
        _ => Err(Problem::Shape("an object that is not empty").into()),
    }
}

/// IAM takes a single value bare or as a list of one.
fn one_or_many<'a, 't>(json: &'a Json<'t>) -> &'a [Json<'t>] {
    match json {
        Json::List(list) => list,
        one => std::slice::from_ref(one),
    }
}

fn one<'a, 't>(json: &'a Json<'t>) -> Result<&'a Json<'t>, Fault> {
    match one_or_many(json) {
        [one] => Ok(one),
        _ => Err(Problem::Shape("one value").into()),
    }
}

fn each<T>(json: &Json<'_>, read: impl Fn(&Json<'_>) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    match one_or_many(json) {
        // What IAM makes of a condition without a value is not documented.
        [] => Err(Problem::Shape("a list that is not empty").into()),
        values => values.iter().map(read).collect(),
    }
}

fn text<'a>(json: &'a Json<'_>) -> Result<&'a str, Fault> {
    match json {
        Json::Text(text) => Ok(text),
        _ => Err(Problem::Shape("text").into()),
    }
}

/// The one value that an element has in a document of ours.
fn constant(json: Option<&Json<'_>>, wanted: &'static str) -> Result<(), Fault> {
    match one_or_many(json.ok_or(Problem::Missing)?) {
        [Json::Text(found)] if found == wanted => Ok(()),
        [Json::Text(found)] => Err(value(wanted, found)),
        _ => Err(Problem::Shape("text").into()),
    }
}

fn value(wanted: &'static str, found: &str) -> Fault {
    let found = found.to_owned();
    Problem::Value { wanted, found }.into()
}

/// Says where an error is, as `map_err` wants it.
fn inside<E: Into<Fault>>(name: &str) -> impl Fn(E) -> Fault {
    move |error| error.into().inside(name)
}

impl Fault {
    fn inside(mut self, name: impl Into<String>) -> Self {
        self.place.push(name.into());
        self
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let place = Vec::new();
        Self { place, problem }
    }
}

impl From<Fault> for ParseError {
    fn from(Fault { mut place, problem }: Fault) -> Self {
        place.reverse();
        let place = Place(place);
        Self::Element { place, problem }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("policy document"),
            names => f.write_str(&names.join(", ")),
        }
    }
}
