//! What if a token of this host were used from there?

use serde::Serialize;
use thiserror::Error;

use crate::{
    credential::{Credential, Session},
    estate::Estate,
    evaluate,
    footprint::Host,
    id::{InstanceId, RoleName},
    plan::{Pin, Plan},
    position::Position,
    request::Request,
};

/// How a call is decided, as far as our pin goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// No pin denies it; what else the role may do decides.
    Allowed,
    /// A statement denies it.
    Denied {
        /// The policy's name.
        policy: String,
        /// The statement's name.
        statement: String,
    },
}

/// The answer to [`explain`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The call as IAM sees it.
    pub request: Request,
    /// By what is attached now.
    pub in_force: Verdict,
    /// By the pin that the fleet calls for, whether or not it is enforced.
    pub pinned: Option<Verdict>,
}

/// The one call that IAM answers whatever denies it (STS API reference, `GetCallerIdentity`).
const ALWAYS_ANSWERED: &str = "sts:GetCallerIdentity";

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExplainError {
    /// No service calls an action that.
    #[error("`{0}` is no action: write it as s3:GetObject")]
    NoAction(String),
    /// No such role.
    #[error("the account has no role {0}")]
    NoRole(RoleName),
    /// The role has no such instance.
    #[error(
        "{instance} is no live instance of role {role}, nor of one that may assume it; it has {}",
        list(known)
    )]
    NoInstance {
        /// The role.
        role: RoleName,
        /// The instance asked for.
        instance: InstanceId,
        /// Some that it has.
        known: Vec<InstanceId>,
    },
}

fn list(instances: &[InstanceId]) -> String {
    match instances {
        [] => "none".to_owned(),
        some => some
            .iter()
            .map(InstanceId::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// How a call of `action` from `position` with the credential of `role` on `instance` is decided; or by a session
/// of `role` that the instance made, where it has another role and may assume this one.
pub fn explain(
    estate: &Estate,
    plan: &Plan,
    role: &RoleName,
    instance: &InstanceId,
    position: &Position,
    action: &str,
) -> Result<Explanation, ExplainError> {
    if !is_action(action) {
        return Err(ExplainError::NoAction(action.to_owned()));
    }
    let no_role = || ExplainError::NoRole(role.clone());
    let seen = estate.roles.get(role).ok_or_else(no_role)?;
    let planned = plan.role(role);
    let own = planned.map_or(&[][..], |plan| &plan.footprint.hosts);
    let chained = planned.and_then(|plan| plan.chained.as_ref());
    let callers = || chained.into_iter().flat_map(|part| part.callers.hosts());
    let is_it = |host: &&Host| host.instance == *instance;
    let request = if let Some(host) = own.iter().find(is_it) {
        Credential::of(seen, host).used_from(position, action)
    } else if callers().any(|host| is_it(&host)) {
        // What it calls a session that it makes by assuming the role is its own to say.
        Session::of(seen, instance.as_str()).used_from(position, action)
    } else {
        let known = own.iter().chain(callers()).take(5);
        return Err(ExplainError::NoInstance {
            role: role.clone(),
            instance: instance.clone(),
            known: known.map(|host| host.instance.clone()).collect(),
        });
    };
    Ok(Explanation {
        in_force: decide(planned.and_then(|plan| plan.in_force.as_ref()), &request),
        pinned: planned
            .and_then(|plan| plan.pin.as_ref())
            .map(|pin| decide(Some(pin), &request)),
        request,
    })
}

fn is_action(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.split_once(':')
        .is_some_and(|(service, name)| word(service) && word(name))
}

/// How `pin` decides `request`.
pub fn decide(pin: Option<&Pin>, request: &Request) -> Verdict {
    let pin = pin.filter(|_| !request.action.eq_ignore_ascii_case(ALWAYS_ANSWERED));
    let mut policies = pin.into_iter().flat_map(|pin| &pin.policies);
    let denied = policies.find_map(|policy| {
        let statement = evaluate::denied_by([&policy.document], request)?;
        Some((policy.policy.to_string(), statement.sid.clone()))
    });
    match denied {
        Some((policy, statement)) => Verdict::Denied { policy, statement },
        None => Verdict::Allowed,
    }
}
