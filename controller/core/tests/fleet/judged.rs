//! Every document that a test plans, with calls and what our evaluator says of them, for the independent
//! judge. Nothing is written unless the environment names a folder, as `tests/e2e/tests/judged.rs` does.

use std::{fs, path::Path};

use credpin_core::{
    estate::Estate,
    evaluate::denied_by,
    plan::{Pin, Plan, RolePlan, Step},
    policy::{Digest, Document},
    request::Request,
    settings::Settings,
    verify::{chained_promised, promised},
};
use serde_json::{Value, json};

/// Calls that are asked about for each, spread over all that its proof looks at.
const CALLS: usize = 8;

/// Notes what `plan` calls for, where somebody wants to know.
pub(super) fn note(estate: &Estate, settings: &Settings, plan: &Plan) {
    let Some(folder) = std::env::var_os("CREDPIN_JUDGED") else {
        return;
    };
    for role in &plan.roles {
        let pin = role.pin.iter().map(|pin| pin.documents());
        let written = role.steps.iter().filter_map(|step| match step {
            Step::CreatePolicy { document, .. } | Step::CreateVersion { document, .. } => {
                Some(vec![document])
            }
            _ => None,
        });
        for documents in pin.chain(written) {
            let text: Vec<String> = documents.iter().map(|it| it.to_json()).collect();
            let file = Path::new(&folder).join(Digest::of_text(&text.join("\n")).to_string());
            if !file.exists() {
                let asked = asked(estate, settings, role, &documents);
                fs::write(file, asked.to_string()).expect("a folder that can be written to");
            }
        }
    }
}

fn asked(estate: &Estate, settings: &Settings, role: &RolePlan, documents: &[&Document]) -> Value {
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
    let calls = calls.iter().step_by(step).map(|call| {
        let context = call.context();
        let context =
            context.map(|(key, value)| (key.name().to_owned(), Value::from(value.to_string())));
        json!({
            "action": &*call.action,
            "resource": &call.resource,
            "context": context.collect::<serde_json::Map<_, _>>(),
            "denied": denied_by(documents.iter().copied(), call).is_some(),
        })
    });
    let documents = documents
        .iter()
        .map(|it| serde_json::from_str(&it.to_json()).unwrap());
    json!({
        "documents": documents.collect::<Vec<Value>>(),
        "calls": calls.collect::<Vec<Value>>(),
    })
}
