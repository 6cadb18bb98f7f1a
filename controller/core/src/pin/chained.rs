//! The pin of a role's sessions that were made by assuming it: by egress alone.
//!
//! Such a session carries no key that tells who made it where, so the statements select all sessions that EC2
//! did not deliver, and admit them wherever any of their [`Callers`] is.
//!
//! What the operator states stands in lists of its own, under the same operators with `IfExists`, which say the same of
//! a key that is absent (IAM User Guide, "IAM JSON policy elements: Condition operators"). So the document
//! tells of each place whether it was found or stated: what was stated goes when the operator says so.

use std::collections::BTreeSet;

use super::{self_defence, statement_about_all};
use crate::{
    chain::Callers,
    id::{Arn, VpcId},
    policy::{Both, Statement, Test, Text},
    prefix::joined,
    request::Key,
    settings::Settings,
};

/// Places that statements admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Where callers were found.
    Found,
    /// And where they were stated to be.
    All,
}

/// What the names of these statements begin with, and of no others.
const PREFIX: &str = "Chained";

/// The statements about sessions of `role` that its `callers` made.
pub fn chained(role: &Arn, callers: &Callers, settings: &Settings) -> Vec<Statement> {
    let public = by_assuming("ChainedPublic").when(Key::SourceVpc, Test::Null(true));
    let endpoint = by_assuming("ChainedEndpoint").when(Key::SourceVpc, Test::Null(false));
    let hubs = settings.hub_vpcs.iter().flatten();
    let stated: BTreeSet<&VpcId> = callers.stated.vpcs.iter().chain(hubs).collect();
    let found = callers.vpcs.iter().filter(|vpc| !stated.contains(vpc));
    let found: Vec<Text> = found.map(Text::literal).collect();
    let stated = stated.into_iter().map(Text::literal).collect();
    let endpoint = unless(endpoint, found, Key::SourceVpc, Test::StringNotEquals);
    let endpoint = unless(
        endpoint,
        stated,
        Key::SourceVpc,
        Test::StringNotEqualsIfExists,
    );
    let found = callers.public.difference(&callers.stated.prefixes);
    let found = joined(found.copied());
    let stated = joined(callers.stated.prefixes.iter().copied());
    let public = unless(public, found, Key::SourceIp, Test::NotIpAddress);
    let public = unless(public, stated, Key::SourceIp, Test::NotIpAddressIfExists);
    let mut statements = vec![public, endpoint];
    statements.extend(settings.self_defence.then(|| {
        self_defence("ChainedSelfDefence", role).when(Key::SourceInstanceArn, Test::Null(true))
    }));
    statements
}

/// A list of nothing is left out.
fn unless<T>(statement: Statement, list: Vec<T>, key: Key, test: fn(Vec<T>) -> Test) -> Statement {
    if list.is_empty() {
        statement
    } else {
        statement.when(key, test(list))
    }
}

/// Sessions that EC2 did not deliver, and not calls that a service makes for them.
fn by_assuming(sid: &str) -> Statement {
    statement_about_all(sid)
        .when(Key::SourceInstanceArn, Test::Null(true))
        .when(Key::ViaAwsService, Test::BoolIfExists(false))
}

/// Whether a statement is about sessions that were made by assuming the role, and not about those of its
/// instances.
pub fn is_chained(statement: &Statement) -> bool {
    is_named_chained(&statement.sid)
}

/// The same by its name.
pub(crate) fn is_named_chained(sid: &str) -> bool {
    sid.starts_with(PREFIX)
}

/// VPCs whose endpoints such sessions may use, by `statements`: all, or those that were found and not stated.
pub(crate) fn chained_vpcs<'s>(
    statements: impl IntoIterator<Item = &'s Statement>,
    of: Listed,
) -> impl Iterator<Item = String> {
    let statements = statements.into_iter();
    let conditions = statements
        .filter(|statement| is_chained(statement))
        .flat_map(Statement::conditions);
    let lists = conditions.filter_map(move |(key, test)| match (key, test) {
        (Key::SourceVpc, Test::StringNotEquals(texts)) => Some(texts),
        (Key::SourceVpc, Test::StringNotEqualsIfExists(texts)) if of == Listed::All => Some(texts),
        _ => None,
    });
    lists.flatten().map(ToString::to_string)
}

/// The statements `then` of which there is one `now`, each admitting what that admits too.
pub(crate) fn widened(then: Vec<Statement>, now: &[Statement]) -> Vec<Statement> {
    let widen = |then: Statement| {
        // On its way to another one a statement's name may have a number.
        let mut alike = now.iter().filter(|now| now.sid.starts_with(&then.sid));
        let first = alike.next()?;
        let widened = [first].into_iter().chain(alike);
        Some(
            widened.fold(then.clone(), |then, now| match now.both(&then) {
                Both::This(both) => both,
                Both::Nothing | Both::Unsayable => then,
            }),
        )
    };
    then.into_iter().filter_map(widen).collect()
}
