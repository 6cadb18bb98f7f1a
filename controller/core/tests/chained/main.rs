//! Roles that are assumed with the tokens of instances, pinned by egress.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod callers;
mod change;
mod elsewhere;
#[path = "../fleet/mod.rs"]
mod fleet;
mod grown;
mod parts;

use credpin_core::{
    admission,
    chain::StrangerKind,
    credential::Session,
    estate::Target,
    evaluate,
    exposure::Exposure,
    footprint,
    plan::{Hold, Outcome, Plan, RolePlan, Step},
    policy::{Document, Statement},
    position::Position,
    request::Request,
    settings::{ChainedRule, Mode},
    verify,
};
use fleet::{Fleet, id};

/// A host of `web` behind a NAT gateway, and a role `deploy` that `web` may assume.
fn web_and_deploy() -> Fleet {
    Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .host("web", "web", "a", "10.0.1.5")
        .assumed("deploy", &["web"])
}

fn of<'a>(plan: &'a Plan, role: &str) -> &'a RolePlan {
    plan.role(&id(role)).expect("a role of the plan")
}

/// A call of a session of `role`, made by somebody who assumed it.
fn call(fleet: &Fleet, role: &str, from: &str) -> Request {
    let from: Position = from.parse().unwrap();
    Session::of(&fleet.estate.roles[role], "made-by-hand").used_from(&from, "s3:GetObject")
}

/// The statement of what is attached to `role` that denies such a call.
fn denied(fleet: &Fleet, role: &str, from: &str) -> Option<String> {
    denies(&in_force(fleet, role), &call(fleet, role, from))
}

fn denies(documents: &[Document], call: &Request) -> Option<String> {
    evaluate::denied_by(documents, call).map(|statement| statement.sid.clone())
}

fn in_force(fleet: &Fleet, role: &str) -> Vec<Document> {
    let plan = fleet.plan();
    let pin = of(&plan, role).in_force.clone();
    let policies = pin.into_iter().flat_map(|pin| pin.policies);
    policies.map(|policy| policy.document).collect()
}

/// Why the part of `role`'s pin is held that is about sessions of others.
fn holds(fleet: &Fleet, role: &str) -> Vec<Hold> {
    let plan = fleet.plan();
    let holds = of(&plan, role).holds.iter();
    let chained = holds.filter_map(|hold| match hold {
        Hold::Chained(hold) => Some((**hold).clone()),
        _ => None,
    });
    chained.collect()
}

/// `deploy` has instances of its own, and `web` may assume it.
fn deploy_with_hosts() -> Fleet {
    web_and_deploy()
        .usual_vpc("b", "198.51.100.2")
        .host("deploy", "deploy", "b", "10.0.1.5")
}

#[test]
fn a_session_passes_where_who_may_assume_the_role_is_and_nowhere_else() {
    let fleet = web_and_deploy().chained("deploy", |_| {});
    let plan = fleet.plan();
    let deploy = of(&plan, "deploy");
    assert_eq!(deploy.outcome, Outcome::Change, "{:?}", deploy.holds);
    assert_eq!(deploy.exposure_now, Exposure::Everything);
    assert_eq!(deploy.exposure_pinned, Some(Exposure::ByEgress));
    let fleet = fleet.applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "198.51.100.1"), None);
    assert_eq!(denied(&fleet, "deploy", "vpc-a/10.0.1.5"), None);
    for (from, statement) in [
        ("203.0.113.66", "ChainedPublic"),
        ("198.51.100.2", "ChainedPublic"),
        ("2001:db8::1", "ChainedPublic"),
        ("vpc-attacker/10.0.1.5", "ChainedEndpoint"),
    ] {
        assert_eq!(denied(&fleet, "deploy", from).as_deref(), Some(statement));
    }
    // What a service does for it passes, wherever it was asked.
    let session = Session::of(&fleet.estate.roles["deploy"], "x");
    let by_a_service = session.used_by_a_service(&"203.0.113.66".parse().unwrap(), "kms:Decrypt");
    assert_eq!(denies(&in_force(&fleet, "deploy"), &by_a_service), None);
    let again = fleet.plan();
    assert_eq!(of(&again, "deploy").outcome, Outcome::Unchanged);
    assert_eq!(of(&again, "deploy").exposure_now, Exposure::ByEgress);
    assert_eq!(again.steps().count(), 0);
}

#[test]
fn a_role_that_no_rule_names_is_left_alone_whatever_the_mode_of_all() {
    let fleet = web_and_deploy();
    assert_eq!(fleet.settings.mode, Mode::Enforce);
    assert!(fleet.plan().role(&id("deploy")).is_none());
    let fleet = fleet.chained("deploy", |rule| rule.role.mode = Mode::Observe);
    let plan = fleet.plan();
    let deploy = of(&plan, "deploy");
    assert_eq!(deploy.outcome, Outcome::Observed);
    assert!(deploy.steps.is_empty() && deploy.pin.is_some());
}

#[test]
fn the_proof_finds_each_statement_that_is_missing_or_too_narrow() {
    let fleet = web_and_deploy().chained("deploy", |_| {});
    let plan = fleet.plan();
    let deploy = of(&plan, "deploy");
    let role = &fleet.estate.roles["deploy"];
    let callers = &deploy.chained.as_ref().unwrap().callers;
    let whole = deploy.pin.as_ref().unwrap().policies[0].document.clone();
    let broken =
        |document: &Document| verify::chained(role, callers, &fleet.settings, &[document]).len();
    assert_eq!(broken(&whole), 0);
    for missing in 0..whole.statements.len() {
        let mut document = whole.clone();
        document.statements.remove(missing);
        assert!(broken(&document) > 0, "without {missing}");
    }
    // The pin of another fleet.
    let other = Fleet::new()
        .usual_vpc("b", "198.51.100.2")
        .host("web", "web", "b", "10.0.1.5")
        .assumed("deploy", &["web"])
        .chained("deploy", |_| {})
        .pin("deploy");
    let locked = verify::chained_locked_out(role, callers, &fleet.settings, &[&other]);
    assert!(
        locked
            .iter()
            .any(|it| it.denied_by.as_deref() == Some("ChainedPublic"))
    );
    assert!(
        locked
            .iter()
            .any(|it| it.denied_by.as_deref() == Some("ChainedEndpoint"))
    );
}

#[test]
fn what_if_it_were_used_from_there_is_answered_for_sessions_that_an_instance_made() {
    let fleet = web_and_deploy().chained("deploy", |_| {});
    let by = |from: &str| fleet::denied(&fleet, "deploy", "i-web", from);
    assert_eq!(by("198.51.100.1"), None);
    assert_eq!(by("203.0.113.66").as_deref(), Some("ChainedPublic"));
}

#[test]
fn a_rule_that_names_no_role_is_told() {
    let plan = web_and_deploy()
        .chained("deploy", |_| {})
        .chained("deplay", |_| {})
        .plan();
    assert_eq!(
        plan.warnings,
        ["[[chained]] deplay: no role has such a name"]
    );
}

#[test]
fn such_a_session_cannot_take_the_pin_off_even_from_home() {
    let detach = |fleet: &Fleet| {
        let role = &fleet.estate.roles["deploy"];
        let from: Position = "198.51.100.1".parse().unwrap();
        let call = Session::of(role, "x").used_from(&from, "iam:DetachRolePolicy");
        denies(&in_force(fleet, "deploy"), &call.on(&role.arn))
    };
    let fleet = || web_and_deploy().chained("deploy", |_| {});
    assert_eq!(detach(&fleet().applied(usize::MAX)), None);
    let defended = fleet()
        .settings(|settings| settings.self_defence = true)
        .applied(usize::MAX);
    assert_eq!(detach(&defended).as_deref(), Some("ChainedSelfDefence"));
    assert_eq!(denied(&defended, "deploy", "198.51.100.1"), None);
    // Held, it gets nothing that denies more.
    let held = fleet()
        .applied(usize::MAX)
        .edit_role("deploy", |role| {
            role.trusted_services.insert("lambda.amazonaws.com".into());
        })
        .settings(|settings| settings.self_defence = true)
        .applied(usize::MAX);
    assert_eq!(detach(&held), None);
}
