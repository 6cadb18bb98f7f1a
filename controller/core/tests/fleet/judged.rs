//! Every document that a test plans, with calls and what our evaluator says of them, for the independent
//! judge.

use credpin_core::{
    estate::Estate,
    evaluate::denied_by,
    plan::{Pin, Plan, RolePlan, Step},
    policy::Document,
    request::Request,
    settings::Settings,
    verify::{chained_promised, promised},
};
use credpin_witness::{Call, note_together};

/// Calls that are asked about for each, spread over all that its proof looks at.
const CALLS: usize = 4;

/// Notes what `plan` calls for, where somebody wants to know.
pub(super) fn note(estate: &Estate, settings: &Settings, plan: &Plan) {
    for role in &plan.roles {
        let pin = role.pin.iter().map(|pin| pin.documents());
        let written = role.steps.iter().filter_map(|step| match step {
            Step::CreatePolicy { document, .. } | Step::CreateVersion { document, .. } => {
                Some(vec![document])
            }
            _ => None,
        });
        for documents in pin.chain(written) {
            let texts = documents.iter().map(|it| it.to_json());
            note_together(texts, || calls(estate, settings, role, &documents));
        }
    }
}

fn calls(
    estate: &Estate,
    settings: &Settings,
    role: &RolePlan,
    documents: &[&Document],
) -> Vec<Call> {
    let of = &estate.roles[&role.role];
    // Calls to exempt data planes are patterns, which are no calls that the judge knows.
    let is_call =
        |call: &Request| &*call.action == "s3:GetObject" || call.action.starts_with("iam:");
    let chained = role
        .chained
        .iter()
        .filter(|_| role.pin.as_ref().is_some_and(Pin::has_chained));
    let by_sessions = chained.flat_map(|part| chained_promised(of, &part.callers, settings));
    let calls: Vec<Request> = promised(of, &role.footprint, settings)
        .chain(by_sessions)
        .map(|(call, _)| call)
        .filter(is_call)
        .collect();
    let step = calls.len().div_ceil(CALLS).max(1);
    let calls = calls.iter().step_by(step);
    let noted = calls.map(|call| {
        let context = call.context().map(|(key, value)| (key.name(), value));
        let denied = denied_by(documents.iter().copied(), call).is_some();
        Call::new(&call.action, call.resource.as_deref(), context, denied)
    });
    noted.collect()
}
