//! The judge is asked about every document that the tests of the core plan, by hand and at random.
//!
//! Those tests are part of this program too. It starts itself with them alone and a folder, into which each
//! document goes with calls and what our evaluator says of them; and then asks.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(
    clippy::duplicate_mod,
    reason = "each of the core's tests has the fleet by itself"
)]

#[path = "../../../controller/core/tests/admission.rs"]
mod admission;
#[path = "../../../controller/core/tests/chained/main.rs"]
mod chained;
#[path = "../../../controller/core/tests/egress.rs"]
mod egress;
#[path = "../../../controller/core/tests/exposure.rs"]
mod exposure;
#[path = "../../../controller/core/tests/groups.rs"]
mod groups;
#[path = "../../../controller/core/tests/hosts.rs"]
mod hosts;
#[path = "../../../controller/core/tests/pin.rs"]
mod pin;
#[path = "../../../controller/core/tests/plan/main.rs"]
mod plan;
#[path = "../../../controller/core/tests/safety.rs"]
mod safety;

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use credpin_e2e::judge::{Decision, Facts, Judge, Policy, Question, allow_everything};
use credpin_e2e::tools::Tools;
use serde::Deserialize;
use serde_json::Value;

/// Documents are asked about so many at once.
const BATCH: usize = 50;
/// Only a test that hangs takes so long, even on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(15);
/// Fewer would say that the tests were not found.
const LEAST: usize = 300;

/// Documents that are in force together, and calls.
#[derive(Deserialize)]
struct Asked {
    documents: Vec<Value>,
    calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    action: String,
    resource: Option<String>,
    context: Facts,
    denied: bool,
}

impl Asked {
    fn questions(&self) -> impl Iterator<Item = (bool, Question)> {
        let pins = self.documents.iter().enumerate();
        let pins = pins.map(|(number, document)| Policy {
            name: format!("pin-{number}"),
            document: document.clone(),
        });
        let policies: Vec<Policy> = [allow_everything()].into_iter().chain(pins).collect();
        self.calls.iter().map(move |call| {
            let object = || "arn:aws:s3:::loot/object".to_owned();
            let question = Question {
                policies: policies.clone(),
                principal: "arn:aws:sts::111122223333:assumed-role/web/i-0a".into(),
                action: call.action.clone(),
                resource: match call.action.as_str() {
                    "s3:GetObject" => object(),
                    _ => call.resource.clone().unwrap_or_default(),
                },
                context: call.context.clone(),
            };
            (call.denied, question)
        })
    }
}

#[tokio::test]
async fn the_judge_decides_every_document_that_the_cores_tests_plan_as_we_do() -> Result<()> {
    let tools = Tools::find()?;
    let folder = tempfile::tempdir()?;
    let own = tools.this_test()?.env("CREDPIN_JUDGED", folder.path());
    let own = own.args(["--skip", "the_judge_decides"]);
    own.patience(PATIENCE).finish().await?.success()?;

    let judge = Judge::start(&tools)?;
    let files: Vec<_> = fs::read_dir(folder.path())?.collect::<Result<_, _>>()?;
    ensure!(files.len() >= LEAST, "only {} documents", files.len());
    let (mut denied, mut allowed) = (0, 0);
    for batch in files.chunks(BATCH) {
        let texts = batch.iter().map(|file| fs::read_to_string(file.path()));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let read = texts.iter().map(|text| serde_json::from_str(text));
        let batch = read.collect::<Result<Vec<Asked>, _>>()?;
        let (we, questions): (Vec<bool>, Vec<Question>) =
            batch.iter().flat_map(Asked::questions).unzip();
        for ((we, question), verdict) in we
            .iter()
            .zip(&questions)
            .zip(judge.judge_all(&questions).await?)
        {
            ensure!(
                (verdict.decision == Decision::Denied) == *we,
                "we say denied = {we}, the judge {verdict:?}: {question:?}"
            );
            *if *we { &mut denied } else { &mut allowed } += 1;
        }
    }
    // Past the capture of cargo test, which shows nothing of a test that passes.
    let documents = files.len();
    writeln!(
        std::io::stderr(),
        "{documents} documents of the core's tests: {denied} calls denied and {allowed} not, by both"
    )?;
    ensure!(denied > LEAST && allowed > LEAST, "too much of the same");
    Ok(())
}
