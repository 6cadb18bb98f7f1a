//! A pin of two parts: of the tokens of instances, and of sessions that others make.

use super::*;

#[test]
fn a_first_pin_by_egress_wants_a_replay_too() {
    let fleet = web_and_deploy()
        .chained("deploy", |_| {})
        .settings(|settings| settings.without_replay = false);
    assert!(matches!(&holds(&fleet, "deploy")[..], [Hold::Replay(_)]));
    // What is in force of its instances is no hindrance: what waits is there to be replayed.
    let fleet = deploy_with_hosts()
        .applied(usize::MAX)
        .chained("deploy", |_| {})
        .settings(|settings| settings.without_replay = false);
    let plan = fleet.plan();
    let deploy = of(&plan, "deploy");
    let sids = |statements: &[Statement]| -> Vec<String> {
        statements.iter().map(|it| it.sid.clone()).collect()
    };
    let pending = deploy.chained.as_ref().unwrap().pending.as_ref();
    assert_eq!(
        sids(&pending.unwrap().statements),
        ["ChainedPublic", "ChainedEndpoint"]
    );
    let pin = deploy.pin.as_ref().unwrap().documents();
    let mut of_pin = pin.iter().flat_map(|it| sids(&it.statements));
    assert!(!of_pin.any(|sid| sid.starts_with("Chained")));
}

#[test]
fn a_role_of_instances_that_others_assume_has_a_pin_for_each_kind_of_session() {
    let fleet = deploy_with_hosts()
        .chained("deploy", |_| {})
        .applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "198.51.100.1"), None);
    let at = |from: &str| fleet::denied(&fleet, "deploy", "i-deploy", from);
    assert_eq!(at("198.51.100.2"), None);
    assert_eq!(at("198.51.100.1").as_deref(), Some("PublicVpcB"));
    assert_eq!(
        denied(&fleet, "deploy", "198.51.100.2").as_deref(),
        Some("ChainedPublic")
    );
    // What is counted is what is open to the tokens of its instances.
    let plan = fleet.plan();
    let Exposure::Limited(limits) = &of(&plan, "deploy").exposure_now else {
        panic!("it is pinned");
    };
    assert_eq!((limits.hosts.worst, limits.endpoints.worst), (0, 0));
}

#[test]
fn one_part_of_a_pin_can_be_enforced_and_the_other_observed() {
    let observed = |fleet: Fleet| fleet.settings(|settings| settings.mode = Mode::Observe);
    let fleet = observed(deploy_with_hosts().chained("deploy", |_| {})).applied(usize::MAX);
    let token = |fleet: &Fleet, from: &str| {
        let plan = fleet.plan();
        let deploy = of(&plan, "deploy");
        let host = &deploy.footprint.hosts[0];
        let credential =
            credpin_core::credential::Credential::of(&fleet.estate.roles["deploy"], host);
        let call = credential.used_from(&from.parse().unwrap(), "s3:GetObject");
        denies(&in_force(fleet, "deploy"), &call)
    };
    assert_eq!(token(&fleet, "203.0.113.66"), None);
    assert!(denied(&fleet, "deploy", "203.0.113.66").is_some());
    let plan = fleet.plan();
    assert_eq!(of(&plan, "deploy").outcome, Outcome::Unchanged);
    assert_eq!(of(&plan, "deploy").exposure_now, Exposure::Everything);
    // And the other way about: what is said to be only observed goes, and the rest stays.
    let fleet = fleet
        .settings(|settings| {
            settings.mode = Mode::Enforce;
            settings.chained[0].role.mode = Mode::Observe;
        })
        .applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "203.0.113.66"), None);
    assert!(token(&fleet, "203.0.113.66").is_some());
    assert_eq!(fleet.plan().steps().count(), 0);
}

#[test]
fn a_part_that_is_held_holds_up_no_other() {
    let fleet = deploy_with_hosts()
        .chained("deploy", |_| {})
        .edit_role("deploy", |role| {
            role.trusted_services.insert("lambda.amazonaws.com".into());
        });
    let plan = fleet.plan();
    let deploy = of(&plan, "deploy");
    assert_eq!(deploy.outcome, Outcome::Held);
    assert!(!deploy.steps.is_empty());
    let fleet = fleet.applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "203.0.113.66"), None);
    let at = |from: &str| fleet::denied(&fleet, "deploy", "i-deploy", from);
    assert!(at("203.0.113.66").is_some());
    assert!(at("198.51.100.2").is_none());
    assert_eq!(fleet.plan().steps().count(), 0);
}

/// An auto scaling group may be at zero for the night.
#[test]
fn to_look_at_one_part_takes_nothing_off_a_role_that_has_no_instance_now() {
    let gone = |mut fleet: Fleet| {
        fleet.region().instances.remove("i-deploy").expect("a host");
        fleet
    };
    let observe = |rule: &mut ChainedRule| rule.role.mode = Mode::Observe;
    let fleet = gone(deploy_with_hosts().applied(usize::MAX)).chained("deploy", observe);
    let plan = fleet.plan();
    assert_eq!(of(&plan, "deploy").outcome, Outcome::Idle);
    assert_eq!(plan.steps().count(), 0);
    // Where both parts are in force, the one goes that is to go.
    let both = deploy_with_hosts()
        .chained("deploy", |_| {})
        .applied(usize::MAX);
    let fleet = gone(both)
        .settings(|settings| settings.chained[0].role.mode = Mode::Observe)
        .applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "203.0.113.66"), None);
    let documents = in_force(&fleet, "deploy");
    let mut statements = documents.iter().flat_map(|it| &it.statements);
    assert!(statements.any(|statement| statement.sid == "PublicVpcB"));
    assert_eq!(fleet.plan().steps().count(), 0);
}

#[test]
fn what_holds_instances_that_are_only_observed_holds_up_no_session_of_others() {
    let fleet = deploy_with_hosts()
        .settings(|settings| settings.mode = Mode::Observe)
        .chained("deploy", |_| {})
        .applied(usize::MAX)
        .route("b", "0.0.0.0/1", fleet::transit_gateway())
        .usual_vpc("c", "198.51.100.3")
        .host("new", "web", "c", "10.0.1.5");
    assert!(denied(&fleet, "deploy", "198.51.100.3").is_some());
    let fleet = fleet.applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "198.51.100.3"), None);
}

#[test]
fn a_session_that_is_named_like_an_instance_is_one_of_them() {
    let fleet = deploy_with_hosts()
        .settings(|settings| settings.pin_derived = true)
        .chained("deploy", |_| {});
    assert_eq!(holds(&fleet, "deploy"), [Hold::NamedAlike]);
    // Without instances there is no such statement.
    let fleet = web_and_deploy()
        .settings(|settings| settings.pin_derived = true)
        .chained("deploy", |_| {});
    assert_eq!(holds(&fleet, "deploy"), []);
}

#[test]
fn hosts_of_a_role_that_is_pinned_for_others_only_have_nothing_to_wait_for() {
    let published = |mode| {
        let fleet = deploy_with_hosts()
            .settings(|settings| settings.mode = mode)
            .chained("deploy", |_| {})
            .applied(usize::MAX);
        let plan = fleet.plan();
        let documents = in_force(&fleet, "deploy");
        admission::of(
            &fleet.estate.roles["deploy"],
            &of(&plan, "deploy").footprint,
            &documents.iter().collect::<Vec<_>>(),
            &footprint::places(&fleet.estate, &fleet.settings),
            &fleet.settings,
            fleet::NOW.parse().unwrap(),
        )
    };
    assert!(!published(Mode::Observe).pinned);
    assert!(published(Mode::Enforce).pinned);
}
