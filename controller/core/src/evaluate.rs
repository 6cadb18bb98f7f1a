//! What IAM makes of a policy and a request.
//!
//! Follows the IAM User Guide, pages "Policy evaluation logic", "IAM JSON policy elements: Action",
//! "IAM JSON policy elements: Resource", "IAM JSON policy elements: Condition operators", "Conditions with multiple context keys or
//! values" and "IAM policy elements: Variables and tags". Only what a [`Document`] can say is here:
//! all of it denies. The end-to-end tests hold it against an independent
//! simulator.
//!
//! A plan's proof asks millions of times, so nothing here allocates.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::{
    policy::{Actions, Document, Piece, Resources, Statement, Test, Text},
    prefix,
    request::{Key, Request},
    wildcard::{self, Symbol},
};

#[cfg(test)]
mod tests;

/// The first statement of `documents` that denies `request`. Where there is none, these documents
/// do not stand in its way: an explicit deny overrides any allow, and they say nothing else.
pub fn denied_by<'a>(
    documents: impl IntoIterator<Item = &'a Document>,
    request: &Request,
) -> Option<&'a Statement> {
    documents
        .into_iter()
        .flat_map(|document| &document.statements)
        .find(|statement| statement_applies(statement, request))
}

/// Whether `statement` denies `request`: its actions and resources cover it and all of its conditions
/// hold.
pub fn statement_applies(statement: &Statement, request: &Request) -> bool {
    // Conditions first: they are cheaper than the patterns, and most often one of them fails.
    statement
        .conditions()
        .all(|(key, test)| holds(test, key, request))
        && covers(&statement.actions, &request.action)
        && covers_resource(&statement.resources, request.resource.as_deref())
}

fn covers(actions: &Actions, action: &str) -> bool {
    let any = |patterns: &[String]| {
        patterns
            .iter()
            .any(|pattern| wildcard::matches_ignoring_case(pattern, action))
    };
    match actions {
        Actions::Only(patterns) => any(patterns),
        Actions::AllBut(patterns) => !any(patterns),
    }
}

/// A call that is done to nothing with a name is covered by `*` alone.
fn covers_resource(resources: &Resources, resource: Option<&str>) -> bool {
    match (resources, resource) {
        (Resources::Every, _) => true,
        (Resources::Only(_), None) => false,
        (Resources::Only(patterns), Some(arn)) => patterns
            .iter()
            .any(|pattern| wildcard::matches_arn(wildcard::symbols(pattern.as_str()), arn)),
    }
}

/// Whether `value` is a time before `limit`: a date in ISO 8601, or seconds since 1970.
fn is_before(value: &str, limit: Timestamp) -> bool {
    let seconds = || Timestamp::from_second(value.parse().ok()?).ok();
    let time = value.parse().ok().or_else(seconds);
    time.is_some_and(|time: Timestamp| time < limit)
}

/// Whether `test` holds for `key`. Values are alternatives; a negated test is true exactly where
/// its positive is false, which settles absent keys and variables without a value too.
fn holds(test: &Test, key: Key, request: &Request) -> bool {
    match test {
        Test::Null(absent) => request.value(key).is_none() == *absent,
        Test::BoolIfExists(wanted) => request
            .value(key)
            .is_none_or(|value| value.eq_ignore_ascii_case(if *wanted { "true" } else { "false" })),
        Test::DateLessThan(limit) => request
            .value(key)
            .is_some_and(|value| is_before(value, *limit)),
        Test::StringEquals(texts) => any_text(texts, key, request, equals),
        Test::StringNotEquals(texts) | Test::StringNotEqualsIfExists(texts) => {
            !any_text(texts, key, request, equals)
        }
        Test::StringLike(texts) => any_text(texts, key, request, like),
        Test::ArnEquals(texts) => any_text(texts, key, request, arn_equals),
        Test::IpAddress(nets) => in_any(nets, request.address(key)),
        Test::NotIpAddress(nets) | Test::NotIpAddressIfExists(nets) => {
            !in_any(nets, request.address(key))
        }
    }
}

/// Whether the value of `key` is as one of `texts` says. An absent key is as none of them.
fn any_text(
    texts: &[Text],
    key: Key,
    request: &Request,
    is: fn(&Text, &str, &Request) -> bool,
) -> bool {
    request
        .value(key)
        .is_some_and(|value| texts.iter().any(|text| is(text, value, request)))
}

/// Whether `address` lies in one of `nets`. An address lies in nets of its own family only, an
/// IPv4-mapped IPv6 address in IPv6 nets; what is no address lies in none.
fn in_any(nets: &[IpNet], address: Option<IpAddr>) -> bool {
    address.is_some_and(|address| nets.iter().any(|net| prefix::contains(net, address)))
}

fn equals(text: &Text, value: &str, request: &Request) -> bool {
    let mut rest = Some(value);
    for piece in &text.0 {
        rest = rest.and_then(|rest| rest.strip_prefix(substitute(piece, request)?));
    }
    rest.is_some_and(str::is_empty)
}

fn like(text: &Text, value: &str, request: &Request) -> bool {
    has_values(text, request) && wildcard::matches(symbols(text, request), value)
}

/// An ARN is compared part by part: a wildcard does not reach over the colon between two of them.
/// The resource, which is last, may hold colons.
fn arn_equals(text: &Text, value: &str, request: &Request) -> bool {
    has_values(text, request) && wildcard::matches_arn(symbols(text, request), value)
}

/// The text that a piece stands for; none where it is a variable without a value. There is nothing
/// that such a text is equal to or like.
fn substitute<'a>(piece: &'a Piece, request: &'a Request) -> Option<&'a str> {
    match piece {
        Piece::Literal(text) => Some(text),
        Piece::Variable(key) => request.value(*key),
    }
}

fn has_values(text: &Text, request: &Request) -> bool {
    text.0
        .iter()
        .all(|piece| substitute(piece, request).is_some())
}

/// The pattern that `text` is for this request. What a variable stands for is literal: a caller
/// who can name a session `*` gains nothing by it.
fn symbols<'a>(text: &'a Text, request: &'a Request) -> impl Iterator<Item = Symbol> + Clone {
    text.0.iter().flat_map(|piece| {
        let wild = matches!(piece, Piece::Literal(_));
        let text = substitute(piece, request).unwrap_or_default();
        text.chars().map(move |c| match c {
            '*' if wild => Symbol::Many,
            '?' if wild => Symbol::One,
            c => Symbol::Char(c),
        })
    })
}
