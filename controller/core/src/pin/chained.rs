//! The pin of a role's sessions that were made by assuming it: by egress alone.
//!
//! Such a session carries no key that tells who made it where, so the statements select all sessions that EC2
//! did not deliver, and admit them wherever any of their [`Callers`] is.

use super::{only_from, statement_about_all};
use crate::{
    chain::Callers,
    policy::{Both, Statement, Test, Text},
    request::Key,
    settings::Settings,
};

/// What the names of these statements begin with, and of no others.
const PREFIX: &str = "Chained";

/// The statements about sessions of a role that its `callers` made.
pub fn chained(callers: &Callers, settings: &Settings) -> Vec<Statement> {
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
    vec![only_from(public, &callers.public), endpoint]
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
    statement.sid.starts_with(PREFIX)
}

/// The statements `then`, each admitting what those in force `now` admit too.
pub(crate) fn widened(then: Vec<Statement>, now: &[Statement]) -> Vec<Statement> {
    let widen = |then: Statement| {
        now.iter().fold(then, |then, now| match now.both(&then) {
            Both::This(both) => both,
            Both::Nothing | Both::Unsayable => then,
        })
    };
    then.into_iter().map(widen).collect()
}
