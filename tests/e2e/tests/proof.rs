//! What the proof before a write decides, the independent judge decides too: for the pins of the golden
//! scenarios, and for random fleets, each on its way from one document to the next.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../controller/core/tests/fleet/mod.rs"]
mod fleet;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use credpin::cloud::{Observe, dir::Dir, estate::estate};
use credpin::config;
use credpin_core::estate::Estate;
use credpin_core::plan::{Pin, Plan, RolePlan, Step, plan};
use credpin_core::policy::Document;
use credpin_core::request::Request;
use credpin_core::settings::{MaxNarrowing, Settings};
use credpin_core::verify::{chained_promised, promised};
use credpin_e2e::judge::{Decision, Fact, Judge, Policy, Question, allow_everything};
use credpin_e2e::tools::Tools;
use fleet::random::{fleet_of, vpcs};
use jiff::Timestamp;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// Calls of a fleet that are judged, spread over all that its proof looks at: some thousand are judged
/// in a second.
const CALLS: usize = 40;

/// Pairs of fleets, from the one to the other.
const PAIRS: usize = 30;

#[tokio::test]
async fn the_judge_decides_every_golden_plan_as_its_proof_does() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../controller/tests/scenarios");
    let mut judged = Judged::default();
    for scenario in fs::read_dir(scenarios)? {
        let scenario = scenario?.path();
        let text = fs::read_to_string(scenario.join("credpin.toml"))?;
        let settings = config::parse("credpin.toml", &text)?.settings;
        let estate = estate(&Dir::open(scenario.join("cloud"))?.observe().await);
        let plan = plan(&estate, &[], &settings, Timestamp::UNIX_EPOCH);
        judged
            .pins(&judge, &estate, &plan, &settings, usize::MAX)
            .await?;
    }
    ensure!(judged.chained == 4, "chained: {}", judged.chained);
    judged.has_seen(200)
}

#[tokio::test]
async fn the_judge_decides_random_fleets_as_their_proof_does_at_every_step() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let mut runner = TestRunner::deterministic();
    let mut judged = Judged::default();
    for _ in 0..PAIRS {
        let mut draw = || vpcs().new_tree(&mut runner).unwrap().current();
        let before = fleet_of(&draw()).with_a_chain().applied(usize::MAX);
        let after = fleet_of(&draw()).with_a_chain().settings(|settings| {
            settings.max_narrowing = MaxNarrowing::of_percent(100).unwrap();
        });
        let after = after.with_policies_of(&before);
        let plan = after.plan();
        judged
            .pins(&judge, &after.estate, &plan, &after.settings, CALLS)
            .await?;
        judged
            .steps(&judge, &after.estate, &plan, &after.settings)
            .await?;
    }
    ensure!(judged.unions > 5, "unions: {}", judged.unions);
    ensure!(judged.chained > PAIRS, "chained: {}", judged.chained);
    judged.has_seen(500)
}

/// How much was judged: a test that asks nothing finds nothing.
#[derive(Debug, Default)]
struct Judged {
    denied: usize,
    allowed: usize,
    unions: usize,
    /// Pins of roles that others assume.
    chained: usize,
}

impl Judged {
    /// The pin of each role: each call is decided as it has to be.
    async fn pins(
        &mut self,
        judge: &Judge,
        estate: &Estate,
        plan: &Plan,
        settings: &Settings,
        most: usize,
    ) -> Result<()> {
        for role in &plan.roles {
            let Some(pin) = &role.pin else { continue };
            let calls = calls(estate, role, settings);
            self.chained += usize::from(pin.has_chained());
            let documents = pin.documents();
            // A pin that is held may not keep its promises: the two have to agree all the same.
            let said = |request: &Request| {
                credpin_core::evaluate::denied_by(documents.iter().copied(), request).is_some()
            };
            let promised = calls
                .iter()
                .filter(|(call, denied)| !role.holds.is_empty() || said(call) == *denied);
            ensure!(promised.count() == calls.len(), "{}: not proven", role.role);
            let calls = calls.into_iter().map(|(call, _)| (said(&call), call));
            let calls = spread(calls.collect(), most);
            self.agree(judge, &documents, calls).await?;
        }
        Ok(())
    }

    /// What a role's hosts do is denied by no document on the way.
    async fn steps(
        &mut self,
        judge: &Judge,
        estate: &Estate,
        plan: &Plan,
        settings: &Settings,
    ) -> Result<()> {
        for role in &plan.roles {
            let home: Vec<(bool, Request)> = calls(estate, role, settings)
                .into_iter()
                .filter_map(|(call, denied)| (!denied).then_some((false, call)))
                .collect();
            for step in &role.steps {
                let (Step::CreatePolicy { document, .. } | Step::CreateVersion { document, .. }) =
                    step
                else {
                    continue;
                };
                let is_last = role
                    .pin
                    .iter()
                    .flat_map(|pin| pin.documents())
                    .any(|last| document.unsealed().as_ref() == Some(last));
                self.unions += usize::from(!is_last);
                let calls = spread(home.clone(), CALLS);
                self.agree(judge, &[document], calls).await?;
            }
        }
        Ok(())
    }

    async fn agree(
        &mut self,
        judge: &Judge,
        documents: &[&Document],
        calls: Vec<(bool, Request)>,
    ) -> Result<()> {
        let questions: Vec<Question> = calls
            .iter()
            .map(|(_, call)| question(documents, call))
            .collect::<Result<_>>()?;
        for ((denied, call), verdict) in calls.iter().zip(judge.judge_all(&questions).await?) {
            ensure!(
                (verdict.decision == Decision::Denied) == *denied,
                "we say denied = {denied}, the judge {verdict:?}: {call:?}"
            );
            *if *denied {
                &mut self.denied
            } else {
                &mut self.allowed
            } += 1;
        }
        Ok(())
    }

    fn has_seen(&self, least: usize) -> Result<()> {
        let enough = self.denied >= least && self.allowed >= least;
        ensure!(enough, "judged too little: {self:?}");
        Ok(())
    }
}

/// What the proof looks at, each call once. Of calls to exempt data planes it uses patterns, which
/// are no calls that the judge knows.
fn calls(estate: &Estate, plan: &RolePlan, settings: &Settings) -> Vec<(Request, bool)> {
    let mut seen = BTreeSet::new();
    let role = &estate.roles[&plan.role];
    let chained = plan
        .chained
        .iter()
        .filter(|_| plan.pin.as_ref().is_some_and(Pin::has_chained));
    let by_sessions = chained.flat_map(|part| chained_promised(role, &part.callers, settings));
    promised(role, &plan.footprint, settings)
        .chain(by_sessions)
        .filter(|(call, _)| resource(call).is_some())
        .filter(|(call, _)| seen.insert(format!("{call:?}")))
        .collect()
}

/// At most so many, evenly over all.
fn spread<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let step = all.len().div_ceil(most).max(1);
    all.into_iter().step_by(step).collect()
}

fn resource(call: &Request) -> Option<String> {
    match &*call.action {
        "s3:GetObject" => Some("arn:aws:s3:::loot/object".into()),
        action if action.starts_with("iam:") => call.resource.clone(),
        _ => None,
    }
}

fn question(documents: &[&Document], call: &Request) -> Result<Question> {
    let pins = documents.iter().enumerate().map(|(number, document)| {
        Ok(Policy {
            name: format!("pin-{number}"),
            document: serde_json::from_str(&document.to_json())?,
        })
    });
    let facts = call
        .context()
        .map(|(key, value)| (key.name().to_owned(), Fact::from(value)));
    Ok(Question {
        policies: [Ok(allow_everything())]
            .into_iter()
            .chain(pins)
            .collect::<Result<_>>()?,
        principal: "arn:aws:sts::111122223333:assumed-role/web/i-0a".into(),
        action: call.action.to_string(),
        resource: resource(call).unwrap_or_default(),
        context: facts.collect(),
    })
}
