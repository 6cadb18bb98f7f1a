//! Our evaluator, which every plan is proved with, against the independent judge: on random pins and
//! calls both find that the same statements deny.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use credpin_core::evaluate::{denied_by, statement_applies};
use credpin_core::policy::{Document, Statement};
use credpin_core::request::Request;
use credpin_e2e::arbitrary::{self, Case};
use credpin_e2e::judge::{Fact, Judge, Policy, Question, allow_everything, lets_fail};
use credpin_e2e::tools::Tools;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

const CASES: usize = 10_000;
/// Cases asked about at once.
const BATCH: usize = 500;

/// A statement on which the two disagree, and nothing that IAM documents tells why.
#[derive(Debug)]
struct Disagreement {
    statement: Statement,
    request: Request,
    we_deny: bool,
}

/// How many cases and statements were compared, and what came of them.
#[derive(Default)]
struct Tally {
    cases: usize,
    statements: usize,
    /// Statements that deny, by both.
    denying: usize,
    /// Statements on which the judge is known to be wrong.
    excused: usize,
}

#[tokio::test]
async fn we_and_the_judge_find_that_the_same_statements_deny() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let cases = arbitrary::case();
    // The same cases in every run: a failure here is a failure everywhere.
    let mut runner = TestRunner::deterministic();
    let mut tally = Tally::default();
    while tally.cases < CASES {
        let mut trees = Vec::with_capacity(BATCH);
        for _ in 0..BATCH {
            let tree = cases.new_tree(&mut runner);
            trees.push(tree.map_err(anyhow::Error::msg)?);
        }
        let batch: Vec<Case> = trees.iter().map(ValueTree::current).collect();
        let found = compare(&judge, &batch, &mut tally).await?;
        if let Some((place, _)) = found.first() {
            let smallest = Box::pin(smallest(&judge, trees.swap_remove(*place))).await?;
            panic!("{smallest}");
        }
    }
    // Past the capture of cargo test, which shows nothing of a test that passes.
    writeln!(std::io::stderr(), "{tally}")?;
    let share = |part: usize| part * 100 / tally.statements;
    ensure!(
        (10..90).contains(&share(tally.denying)),
        "too much of the same: {tally}"
    );
    ensure!(share(tally.excused) < 1, "too many excuses: {tally}");
    Ok(())
}

/// What is known of the judge was learned from IAM's documentation, and holds for us in all of it.
#[test]
fn we_follow_iam_where_the_judge_does_and_where_it_does_not() -> Result<()> {
    let semantics: Value = serde_json::from_str(include_str!("../judge/semantics.json"))?;
    let (mut followed, mut beyond) = (0, 0);
    for case in ["follows", "deviates"]
        .iter()
        .filter_map(|part| semantics[part].as_array())
        .flatten()
    {
        let document = json!({"Version": "2012-10-17", "Statement": {
            "Sid": "Pin", "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": case["condition"],
        }});
        // What we never write: other operators, variables or addresses without length in IpAddress.
        let Ok(document) = Document::parse(&document.to_string()) else {
            beyond += 1;
            continue;
        };
        let context = case["context"]
            .as_object()
            .context("a context is an object")?;
        let request = context.iter().try_fold(
            Request::new("dynamodb:ListTables"),
            |request, (key, value)| {
                let value = value.as_str().context("our keys have one value")?;
                anyhow::Ok(request.with(key.parse()?, value))
            },
        )?;
        ensure!(
            Some(denied_by([&document], &request).is_some()) == case["denied"].as_bool(),
            "{case}"
        );
        followed += 1;
    }
    ensure!(
        followed > 5 * beyond,
        "followed {followed}, never wrote {beyond}"
    );
    Ok(())
}

/// Where we and the judge disagree, with the place of the case in `cases`.
async fn compare(
    judge: &Judge,
    cases: &[Case],
    tally: &mut Tally,
) -> Result<Vec<(usize, Disagreement)>> {
    let questions = cases.iter().map(question).collect::<Result<Vec<_>>>()?;
    let verdicts = judge.judge_all(&questions).await?;
    let mut found = Vec::new();
    for (place, (case, verdict)) in cases.iter().zip(verdicts).enumerate() {
        let judges: BTreeSet<&str> = verdict
            .by
            .iter()
            .filter(|decisive| decisive.policy == "pin")
            .map(|decisive| decisive.statement.as_str())
            .collect();
        tally.cases += 1;
        for statement in &case.document.statements {
            let we_deny = statement_applies(statement, &case.request);
            tally.statements += 1;
            match (we_deny, judges.contains(statement.sid.as_str())) {
                (true, true) => tally.denying += 1,
                (false, false) => {}
                (true, false) if lets_fail(statement, &case.request) => tally.excused += 1,
                _ => found.push((
                    place,
                    Disagreement {
                        statement: statement.clone(),
                        request: case.request.clone(),
                        we_deny,
                    },
                )),
            }
        }
    }
    Ok(found)
}

/// The simplest case to be found from `tree` on which the two still disagree.
async fn smallest(judge: &Judge, mut tree: impl ValueTree<Value = Case>) -> Result<Disagreement> {
    let mut smallest = None;
    for _ in 0..1000 {
        let found = compare(judge, &[tree.current()], &mut Tally::default())
            .await?
            .pop();
        let went_on = match found {
            Some((_, disagreement)) => {
                smallest = Some(disagreement);
                tree.simplify()
            }
            None => tree.complicate(),
        };
        if !went_on {
            break;
        }
    }
    smallest.context("the judge answers differently when asked again")
}

fn question(case: &Case) -> Result<Question> {
    let text = case.document.to_json();
    ensure!(
        Document::parse(&text)? == case.document,
        "reads back differently: {text}"
    );
    let facts = case
        .request
        .context()
        .map(|(key, value)| (key.name().to_owned(), Fact::from(value)));
    Ok(Question {
        policies: vec![
            allow_everything(),
            Policy {
                name: "pin".into(),
                document: serde_json::from_str(&text)?,
            },
        ],
        principal: "arn:aws:sts::111122223333:assumed-role/web/i-0a".into(),
        action: case.request.action.to_string(),
        resource: case.resource.clone(),
        context: facts.collect(),
    })
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cases,
            statements,
            denying,
            excused,
        } = self;
        let agreed = statements - excused;
        write!(
            f,
            "our evaluator and the judge: {cases} cases, {agreed} statements agreed ({denying} deny), {excused} \
             not judged as IAM's documentation has it"
        )
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            statement,
            request,
            we_deny,
        } = self;
        let (we, judge) = if *we_deny {
            ("denies", "does not")
        } else {
            ("does not deny", "does")
        };
        writeln!(f, "by us it {we}, by the judge it {judge}:")?;
        writeln!(f, "{}", request.action)?;
        for (key, value) in request.context() {
            writeln!(f, "  {key} = {value}")?;
        }
        let document = Document {
            statements: vec![statement.clone()],
        };
        f.write_str(&document.to_json_pretty())
    }
}
