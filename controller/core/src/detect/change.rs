//! Who changed our policies.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Facts, Finding, RuleId, sight::Sight};
use crate::{cloudtrail::Event, id::Arn, lineage::short, plan::POLICY_PATH};

/// Calls to IAM that change a policy, or whom it binds.
const CALLS: [&str; 13] = [
    "CreatePolicy",
    "CreatePolicyVersion",
    "DeletePolicy",
    "DeletePolicyVersion",
    "SetDefaultPolicyVersion",
    "TagPolicy",
    "UntagPolicy",
    "AttachRolePolicy",
    "DetachRolePolicy",
    "AttachUserPolicy",
    "DetachUserPolicy",
    "AttachGroupPolicy",
    "DetachGroupPolicy",
];
/// Kinds of changes that are kept, the first in order.
const MOST: usize = 50_000;

/// Changes of our policies, by anybody.
#[derive(Debug, Default)]
pub(super) struct Changes {
    seen: BTreeMap<Change, Sight>,
    more: bool,
}

/// Changes that are told as one: a day's of one kind, by one caller, of one policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    policy: String,
    caller: String,
    call: &'static str,
    day: String,
    denied: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    policy_arn: Option<String>,
    /// Of a policy that is to be made, which has no ARN yet.
    path: Option<String>,
    policy_name: Option<String>,
}

impl Changes {
    pub(super) fn event(&mut self, event: &Event<'_>) {
        if event.event_source.as_deref() != Some("iam.amazonaws.com") {
            return;
        }
        let name = event.event_name.as_deref().unwrap_or_default();
        let Some(call) = CALLS.into_iter().find(|call| *call == name) else {
            return;
        };
        let denied = event.is_denied();
        // A call that failed otherwise changed nothing, and nobody forbade it.
        if event.error_code.is_some() && !denied {
            return;
        }
        let Some(policy) = policy(event) else { return };
        let time = event.time();
        let change = Change {
            policy: short(&policy).to_owned(),
            caller: short(caller(event)).to_owned(),
            call,
            day: time.map_or_else(String::new, |time| time.strftime("%F").to_string()),
            denied,
        };
        self.seen.entry(change).or_default().add(event, time, false);
        self.shrink();
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.more |= other.more;
        for (change, sight) in other.seen {
            self.seen.entry(change).or_default().merge(&sight);
            self.shrink();
        }
    }

    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// Those that the controller did not make.
    pub(super) fn findings(&self, facts: &Facts<'_>) -> Vec<Finding> {
        let others = self
            .seen
            .iter()
            .filter(|(change, _)| !facts.is_controller(&change.caller));
        others
            .map(|(change, sight)| change.finding(sight))
            .collect()
    }

    fn shrink(&mut self) {
        if self.seen.len() > MOST {
            self.seen.pop_last();
            self.more = true;
        }
    }
}

impl Change {
    fn finding(&self, sight: &Sight) -> Finding {
        let Self {
            policy,
            caller,
            call,
            day,
            denied,
        } = self;
        let rule = if *denied {
            RuleId::PinChangeDenied
        } else {
            RuleId::PinChanged
        };
        Finding::new(rule, caller, &[policy, call, day])
            .shown_by(sight)
            .detail(format!("{call} of {policy}"))
    }
}

impl Facts<'_> {
    /// Whether it is the role that credpin runs as.
    fn is_controller(&self, caller: &str) -> bool {
        if self.own_roles.iter().any(|own| own.as_str() == caller) {
            return true;
        }
        let Ok(arn) = caller.parse::<Arn>() else {
            return false;
        };
        let role = arn.resource().strip_prefix("role/");
        let name = role.and_then(|role| role.rsplit('/').next());
        name.is_some_and(|name| self.controllers.iter().any(|glob| glob.matches(name)))
    }
}

/// The policy under our path that a call is about.
fn policy(event: &Event<'_>) -> Option<String> {
    let parameters: Parameters = serde_json::from_str(event.request_parameters?.get()).ok()?;
    if let Some(arn) = parameters.policy_arn {
        return arn
            .contains(&format!(":policy{POLICY_PATH}"))
            .then_some(arn);
    }
    let path = parameters
        .path
        .filter(|path| path.starts_with(POLICY_PATH))?;
    Some(format!("{path}{}", parameters.policy_name?))
}

/// Who called: the role, where a session of one did, and else whoever it was.
pub(super) fn caller<'a>(event: &'a Event<'_>) -> &'a str {
    let identity = &event.user_identity;
    let issuer = &identity.session_context.session_issuer;
    let is_role = issuer.kind.as_deref() == Some("Role");
    let role = issuer.arn.as_deref().filter(|_| is_role);
    role.or(identity.arn.as_deref())
        .or(identity.invoked_by.as_deref())
        .unwrap_or("nobody that is named")
}
