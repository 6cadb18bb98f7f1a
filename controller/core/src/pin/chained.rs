//! The pin of a role's sessions that were made by assuming it: by egress alone.
//!
//! Such a session carries no key that tells who made it where, so the statements select all sessions that EC2
//! did not deliver, and admit them wherever any of their [`Callers`] is.

use super::{only_from, self_defence, statement_about_all};
use crate::{
    chain::Callers,
    id::Arn,
    policy::{Both, Statement, Test, Text},
    request::Key,
    settings::Settings,
};

/// What the names of these statements begin with, and of no others.
const PREFIX: &str = "Chained";

/// The statements about sessions of `role` that its `callers` made.
pub fn chained(role: &Arn, callers: &Callers, settings: &Settings) -> Vec<Statement> {
    let public = by_assuming("ChainedPublic").when(Key::SourceVpc, Test::Null(true));
    let endpoint = by_assuming("ChainedEndpoint").when(Key::SourceVpc, Test::Null(false));
    let hubs = settings.hub_vpcs.iter().flatten();
    let mut homes: Vec<Text> = callers.vpcs.iter().chain(hubs).map(Text::literal).collect();
    homes.sort();
    homes.dedup();
    let endpoint = if homes.is_empty() {
        endpoint
    } else {
        endpoint.when(Key::SourceVpc, Test::StringNotEquals(homes))
    };
    let mut statements = vec![only_from(public, &callers.public), endpoint];
    statements.extend(settings.self_defence.then(|| {
        self_defence("ChainedSelfDefence", role).when(Key::SourceInstanceArn, Test::Null(true))
    }));
    statements
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

/// VPCs whose endpoints such sessions may use, by `statements`.
pub(crate) fn chained_vpcs<'s>(
    statements: impl IntoIterator<Item = &'s Statement>,
) -> impl Iterator<Item = String> {
    let statements = statements.into_iter();
    let conditions = statements
        .filter(|statement| is_chained(statement))
        .flat_map(Statement::conditions);
    let lists = conditions.filter_map(|(key, test)| match (key, test) {
        (Key::SourceVpc, Test::StringNotEquals(texts)) => Some(texts),
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
