//! The judge is asked about every document that any test makes, by hand and at random.
//!
//! `make test` has all tests note theirs in a folder (`tests/witness`), and runs this one behind them. Of each
//! document it asks the calls that were noted with it, and those that bear on what it says.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use credpin_core::chain::{Callers, Stated};
use credpin_core::cut::{Principal, Role, Stolen, User, cuts};
use credpin_core::evaluate::statement_applies;
use credpin_core::pin;
use credpin_core::policy::{Actions, Document, Resources, Statement};
use credpin_core::request::{Key, Request};
use credpin_core::settings::Settings;
use credpin_e2e::judge::{Decision, Fact, Judge, Policy, Question, allow_everything, lets_fail};
use credpin_e2e::tools::Tools;
use credpin_e2e::{arbitrary, bearing};
use credpin_witness::{Call, FOLDER, noted};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

/// The test programs that make documents, and how many of them at least: who makes none any more has lost
/// its way here.
const PROGRAMS: [(&str, usize); 20] = [
    ("admission", 200),
    ("aws", 5),
    ("bypasses", 25),
    ("chained", 20),
    ("containment", 20),
    ("credpin_core", 500),
    ("cut", 10),
    ("demo", 1),
    ("exposure", 200),
    ("fleet", 20),
    ("groups", 20),
    ("hosts", 20),
    ("it", 20),
    ("launch", 1),
    ("line", 1),
    ("lineage", 20),
    ("pin", 10),
    ("plan", 20),
    ("proof", 100),
    ("safety", 500),
];

/// Documents that are in force together, and calls on them.
struct Case {
    documents: Vec<Document>,
    calls: Vec<Request>,
}

/// A call that the two decide differently, or for other statements.
#[derive(Debug)]
struct Disagreement {
    call: Request,
    we: Denying,
    judge: Denying,
}

/// Names of policies, with the Sids of statements.
type Denying = BTreeSet<(String, String)>;

#[derive(Debug, Default)]
struct Tally {
    denied: usize,
    allowed: usize,
    /// Statements on which the judge is known to be wrong.
    excused: usize,
}

#[tokio::test]
async fn the_judge_decides_every_document_that_any_test_makes_as_we_do() -> Result<()> {
    let folder = std::env::var_os(FOLDER).with_context(|| {
        format!(
            "{FOLDER} names no folder: `make test` does, after all tests have noted theirs in it"
        )
    })?;
    let cases = cases(Path::new(&folder))?;
    // One process of the judge for each core that is there for sure.
    let (one, other) = cases.split_at(cases.len() / 2);
    let tools = Tools::find()?;
    let judges = (Judge::start(&tools)?, Judge::start(&tools)?);
    let (one, other) = tokio::try_join!(all(&judges.0, one), all(&judges.1, other))?;
    let tally = one + other;
    // Past the capture of cargo test, which shows nothing of a test that passes.
    let documents = cases.len();
    writeln!(
        std::io::stderr(),
        "{documents} pins and cuts of all tests: {tally}"
    )?;
    // Of some random ones there is no call that they deny.
    let unasked = cases.iter().filter(|case| case.calls.is_empty()).count();
    ensure!(unasked * 20 < documents, "of {unasked} nothing is asked");
    let enough = tally.denied.min(tally.allowed) > documents;
    ensure!(enough, "too much of the same: {tally}");
    ensure!(
        tally.excused * 100 < tally.denied,
        "too many excuses: {tally}"
    );
    Ok(())
}

/// Of pins and cuts of each kind each part is taken away before the judge sees it.
#[tokio::test]
async fn a_document_that_says_something_else_to_the_judge_is_noticed() -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    let mut broken = 0;
    for document in samples() {
        let case = Case {
            calls: bearing(&document),
            documents: vec![document.clone()],
        };
        let found = compare(&judge, &case, &case.documents, &mut Tally::default()).await?;
        ensure!(found.is_empty(), "nothing is broken yet: {found:?}");
        for (what, other) in broken_ways(&document) {
            let found = compare(&judge, &case, &[other], &mut Tally::default()).await?;
            ensure!(!found.is_empty(), "{what} of {}", document.to_json_pretty());
            broken += 1;
        }
    }
    ensure!(broken > 100, "only {broken}");
    Ok(())
}

/// What was noted, each once, with the calls that bear on what it says and none before it did.
fn cases(folder: &Path) -> Result<Vec<Case>> {
    let noted =
        noted(folder).with_context(|| format!("nothing is noted in {}", folder.display()))?;
    let programs: BTreeSet<&str> = noted.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = PROGRAMS.iter().map(|(name, _)| *name).collect();
    ensure!(
        programs == known,
        "who noted: {programs:?}, who was to: {known:?}"
    );
    for (program, least) in PROGRAMS {
        let found = noted[program].len();
        ensure!(found >= least, "{program} noted only {found}");
    }
    let mut together: BTreeMap<Vec<String>, Vec<Call>> = BTreeMap::new();
    for noted in noted.into_values().flatten() {
        together
            .entry(noted.documents)
            .or_default()
            .extend(noted.calls);
    }
    let mut seen = BTreeSet::new();
    let cases = together.into_iter().map(|(texts, noted)| {
        let documents = texts.iter().map(|text| {
            Document::parse(text).with_context(|| format!("no document of ours: {text:.2000}"))
        });
        let documents = documents.collect::<Result<Vec<_>>>()?;
        let mut calls = noted.iter().map(request).collect::<Result<Vec<_>>>()?;
        for (call, noted) in calls.iter().zip(&noted) {
            let denied = documents.iter().any(|it| denies(it, call));
            ensure!(
                denied == noted.denied,
                "it was {} when noted: {call:?}",
                noted.denied
            );
        }
        // Many documents share statements, and many statements conditions: what bears on one is asked about
        // where it comes first, and in each document something.
        let statements = documents.iter().flat_map(|document| &document.statements);
        for (place, statement) in statements.enumerate() {
            let mut nameless = statement.clone();
            nameless.sid.clear();
            if seen.insert(format!("{nameless:?}")) || place == 0 {
                calls.extend(bearing::calls(statement, |part| seen.insert(part)));
            }
        }
        Ok(Case { documents, calls })
    });
    cases.collect()
}

/// Asks about all; the first disagreement is an error.
async fn all(judge: &Judge, cases: &[Case]) -> Result<Tally> {
    let mut tally = Tally::default();
    for case in cases {
        let found = compare(judge, case, &case.documents, &mut tally).await?;
        if let Some(found) = found.first() {
            let texts: Vec<String> = case
                .documents
                .iter()
                .map(Document::to_json_pretty)
                .collect();
            let Disagreement { call, we, judge } = found;
            bail!(
                "we say that {we:?} deny, the judge that {judge:?} do: {call:?} of\n{}",
                texts.join("\n")
            );
        }
    }
    Ok(tally)
}

/// Where the judge, given `shown` for the documents of `case`, finds that other statements deny than we do.
async fn compare(
    judge: &Judge,
    case: &Case,
    shown: &[Document],
    tally: &mut Tally,
) -> Result<Vec<Disagreement>> {
    let policies = shown.iter().enumerate().map(|(number, document)| {
        Ok(Policy {
            name: name(number),
            document: serde_json::from_str(&document.to_json())?,
        })
    });
    let policies = [Ok(allow_everything())].into_iter().chain(policies);
    let policies = policies.collect::<Result<Vec<_>>>()?;
    let questions: Vec<Question> = case
        .calls
        .iter()
        .map(|call| question(&policies, call))
        .collect();
    let mut found = Vec::new();
    for (call, verdict) in case.calls.iter().zip(judge.judge_all(&questions).await?) {
        let is_denied = verdict.decision == Decision::Denied;
        let by = verdict.by.into_iter().filter(|_| is_denied);
        let judge: Denying = by.map(|by| (by.policy, by.statement)).collect();
        let mut we = Denying::new();
        for (number, document) in case.documents.iter().enumerate() {
            for statement in &document.statements {
                let by = (name(number), statement.sid.clone());
                if !statement_applies(statement, call) {
                    continue;
                }
                if lets_fail(statement, call) && !judge.contains(&by) {
                    tally.excused += 1;
                } else {
                    we.insert(by);
                }
            }
        }
        *if is_denied {
            &mut tally.denied
        } else {
            &mut tally.allowed
        } += 1;
        if we != judge {
            let call = call.clone();
            found.push(Disagreement { call, we, judge });
        }
    }
    Ok(found)
}

fn name(number: usize) -> String {
    format!("policy-{number}")
}

fn question(policies: &[Policy], call: &Request) -> Question {
    let resource = call.resource.as_deref();
    let context = call.context();
    Question {
        policies: policies.to_vec(),
        principal: "arn:aws:sts::111122223333:assumed-role/web/i-0a".into(),
        action: call.action.to_string(),
        resource: resource
            .unwrap_or_else(|| bearing::usual(&call.action))
            .to_owned(),
        context: context
            .map(|(key, value)| (key.name().to_owned(), Fact::from(value)))
            .collect(),
    }
}

fn request(noted: &Call) -> Result<Request> {
    let mut request = Request::new(&*noted.action);
    request.resource.clone_from(&noted.resource);
    let mut context = noted.context.iter();
    context.try_fold(request, |request, (key, value)| {
        Ok(request.with(key.parse::<Key>()?, value))
    })
}

/// All calls that bear on a document.
fn bearing(document: &Document) -> Vec<Request> {
    let statements = document.statements.iter();
    statements
        .flat_map(|statement| bearing::calls(statement, |_| true))
        .collect()
}

fn denies(document: &Document, call: &Request) -> bool {
    let mut statements = document.statements.iter();
    statements.any(|statement| statement_applies(statement, call))
}

/// The statements of pins of the planner and of every kind of cut, each by itself. Random lists can admit everything: a pin in which a statement
/// can deny nothing is passed over.
fn samples() -> Vec<Document> {
    let mut runner = TestRunner::deterministic();
    let mut draw = || arbitrary::pin().new_tree(&mut runner).unwrap().current();
    let can_deny = |pin: &Document| {
        let mut statements = pin.statements.iter();
        statements.all(|statement| !bearing::calls(statement, |_| true).is_empty())
    };
    let drawn = std::iter::repeat_with(&mut draw).take(20);
    let pins: Vec<Document> = drawn.filter(can_deny).take(3).collect();
    assert_eq!(pins.len(), 3, "most can");
    let role = || Role {
        name: "web".parse().unwrap(),
        id: "AROAWEBEXAMPLE".parse().unwrap(),
        arn: "arn:aws:iam::111122223333:role/web".parse().unwrap(),
    };
    let user = || User {
        name: "alice".parse().unwrap(),
        arn: "arn:aws:iam::111122223333:user/team/alice".parse().unwrap(),
    };
    let stolen = [
        Stolen::Instance {
            role: role(),
            instance: "i-0a1111111111111aa".parse().unwrap(),
            isolate: false,
        },
        Stolen::RoleSession {
            role: role(),
            session: None,
            parent: Some(Principal::User(user())),
        },
        Stolen::Federation(user()),
    ];
    let time = "2027-01-15T08:00:00Z".parse().unwrap();
    let cuts = stolen.iter().flat_map(|stolen| cuts(stolen, time));
    // A list of what was found beside one of what was stated, neither of which holds the other.
    let mut callers = Callers::default();
    callers.public = ["198.51.100.1/32", "203.0.113.0/28"]
        .map(|net| net.parse().unwrap())
        .into();
    callers.vpcs = ["vpc-0a", "vpc-0b"].map(|vpc| vpc.parse().unwrap()).into();
    callers.stated = Stated {
        prefixes: ["203.0.113.0/28".parse().unwrap()].into(),
        vpcs: ["vpc-0b".parse().unwrap()].into(),
    };
    let chained = Document {
        statements: pin::chained(&role().arn, &callers, &Settings::default()),
    };
    let pins = pins.into_iter().chain([chained]);
    let documents = pins.chain(cuts.map(|cut| cut.document()));
    let statements = documents.flat_map(|document| document.statements);
    statements
        .map(|statement| Document {
            statements: vec![statement],
        })
        .collect()
}

/// The document with each statement, each condition, the actions and the resources of each made to say
/// something else, in turn.
fn broken_ways(document: &Document) -> Vec<(String, Document)> {
    let mut all = Vec::new();
    for (place, statement) in document.statements.iter().enumerate() {
        let mut ways = Vec::new();
        for left_out in statement.conditions() {
            let mut bare = Statement::deny(&statement.sid, statement.actions.clone());
            bare.resources = statement.resources.clone();
            let kept = statement.conditions().filter(|it| *it != left_out);
            let less = kept.fold(bare, |less, (key, test)| less.when(key, test.clone()));
            ways.push((format!("{left_out:?} left out"), Some(less)));
        }
        ways.push(("left out".to_owned(), None));
        let mut other = statement.clone();
        other.actions = Actions::Only(vec!["*".into()]).into();
        let has_all = *statement.actions == *other.actions;
        ways.extend((!has_all).then(|| ("all actions".to_owned(), Some(other))));
        let mut other = statement.clone();
        if let Resources::Only(_) = std::mem::replace(&mut other.resources, Resources::Every) {
            ways.push(("every resource".to_owned(), Some(other)));
        }
        for (what, way) in ways {
            let mut broken = document.clone();
            broken.statements.splice(place..=place, way);
            all.push((format!("{}: {what}", statement.sid), broken));
        }
    }
    all
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            denied: self.denied + other.denied,
            allowed: self.allowed + other.allowed,
            excused: self.excused + other.excused,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            denied,
            allowed,
            excused,
        } = self;
        write!(
            f,
            "{denied} calls denied and {allowed} not, by both and for the same statements; {excused} statements \
             not judged as IAM's documentation has it"
        )
    }
}
