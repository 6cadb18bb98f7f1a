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

/// No key tells such a session from what was made of an instance's token, so that it is said is all.
#[test]
fn whom_a_pin_of_derived_sessions_denies_for_his_sessions_name_is_told() {
    let warned = |fleet: &Fleet| -> Vec<String> {
        let plan = fleet.plan();
        let warnings = of(&plan, "deploy").warnings.iter();
        let told = warnings.filter(|it| it.starts_with("pin-derived denies sessions"));
        told.cloned().collect()
    };
    let derived = |fleet: Fleet| fleet.settings(|settings| settings.pin_derived = true);
    let fleet = derived(deploy_with_hosts());
    assert_eq!(of(&fleet.plan(), "deploy").outcome, Outcome::Change);
    assert!(warned(&fleet)[0].contains("arn:aws:iam::111122223333:role/web"));
    // What is told is so.
    let pinned = fleet.clone().applied(usize::MAX);
    let named = Session::of(&pinned.estate.roles["deploy"], "i-made-by-web");
    let call = named.used_from(&"198.51.100.1".parse().unwrap(), "s3:GetObject");
    let denied = denies(&in_force(&pinned, "deploy"), &call);
    assert_eq!(denied.as_deref(), Some("Derived"));
    assert_eq!(warned(&pinned).len(), 1);
    let by = |service: &str| {
        let fleet = deploy_with_hosts().edit_role("deploy", |role| {
            role.trusted.clear();
            role.trusted_services.insert(service.into());
        });
        warned(&derived(fleet)).len()
    };
    assert_eq!(
        (by("ec2.amazonaws.com"), by("lambda.amazonaws.com")),
        (0, 1)
    );
    assert_eq!(warned(&deploy_with_hosts()), [""; 0]);
    // A rule makes a hold of it.
    assert_eq!(warned(&fleet.chained("deploy", |_| {})), [""; 0]);
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

/// What is attached to `role` about tokens of its instances.
fn of_instances(fleet: &Fleet, role: &str) -> Vec<Statement> {
    let documents = in_force(fleet, role).into_iter();
    let statements = documents.flat_map(|it| it.statements);
    statements
        .filter(|it| !it.sid.starts_with("Chained"))
        .collect()
}

/// `deploy` of two parts, after another host has come that may assume it.
fn with_another_caller(fleet: Fleet) -> Fleet {
    fleet
        .usual_vpc("c", "198.51.100.3")
        .host("new", "web", "c", "10.0.1.5")
}

#[test]
fn what_holds_a_pin_of_instances_stays_word_for_word_and_holds_up_no_session_of_others() {
    let fleet = deploy_with_hosts()
        .chained("deploy", |_| {})
        .applied(usize::MAX);
    let before = of_instances(&fleet, "deploy");
    assert!(!before.is_empty());
    let fleet = with_another_caller(fleet.route("b", "0.0.0.0/1", fleet::transit_gateway()));
    // It would be another one, and is out of date.
    let fleet = fleet.host("more", "deploy", "c", "10.0.1.6");
    assert!(denied(&fleet, "deploy", "198.51.100.3").is_some());
    let plan = fleet.plan();
    let deploy = of(&plan, "deploy");
    assert_eq!(deploy.outcome, Outcome::Held);
    assert!(deploy.reaches_its_goal());
    assert!(deploy.goal() != deploy.pin.as_ref());
    let is_stale = |plan: &Plan| {
        of(plan, "deploy")
            .warnings
            .iter()
            .any(|it| it.contains("is stale"))
    };
    assert!(is_stale(&plan));
    let goal = deploy.goal().cloned();
    let after = fleet.applied(usize::MAX);
    assert_eq!(denied(&after, "deploy", "198.51.100.3"), None);
    assert_eq!(of_instances(&after, "deploy"), before);
    let plan = after.plan();
    assert!(of(&plan, "deploy").in_force == goal);
    assert!(is_stale(&plan));
    assert_eq!(of(&plan, "deploy").outcome, Outcome::Held);
    assert_eq!(plan.steps().count(), 0);
}

#[test]
fn sessions_of_others_are_pinned_before_instances_that_are_held_from_the_start() {
    let fleet = deploy_with_hosts()
        .route("b", "0.0.0.0/1", fleet::transit_gateway())
        .chained("deploy", |_| {})
        .applied(usize::MAX);
    assert!(denied(&fleet, "deploy", "203.0.113.66").is_some());
    assert_eq!(denied(&fleet, "deploy", "198.51.100.1"), None);
    assert_eq!(of_instances(&fleet, "deploy"), []);
    let plan = fleet.plan();
    assert_eq!(of(&plan, "deploy").exposure_now, Exposure::Everything);
    assert_eq!(plan.steps().count(), 0);
    // By the rule it goes again, and the instances stay held.
    let fleet = fleet.settings(|settings| settings.chained[0].role.mode = Mode::Observe);
    assert!(matches!(
        of(&fleet.plan(), "deploy").steps[..],
        [Step::Detach { .. }]
    ));
    let fleet = fleet.applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "203.0.113.66"), None);
    assert_eq!(of(&fleet.plan(), "deploy").outcome, Outcome::Held);
}

#[test]
fn instances_that_no_rule_names_any_more_keep_their_part_and_the_other_goes_on() {
    let fleet = deploy_with_hosts()
        .chained("deploy", |_| {})
        .applied(usize::MAX);
    let before = of_instances(&fleet, "deploy");
    let fleet = with_another_caller(fleet.settings(|settings| settings.mode = Mode::Observe));
    let plan = fleet.plan();
    assert_eq!(of(&plan, "deploy").holds, [Hold::Unsaid]);
    let fleet = fleet.applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "198.51.100.3"), None);
    assert_eq!(of_instances(&fleet, "deploy"), before);
    // Nor does the one go with the other.
    let fleet = fleet
        .settings(|settings| settings.chained[0].role.mode = Mode::Observe)
        .applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "203.0.113.66"), None);
    assert_eq!(of_instances(&fleet, "deploy"), before);
    assert_eq!(fleet.plan().steps().count(), 0);
}

#[test]
fn a_pin_of_instances_that_may_not_be_narrowed_is_widened_and_the_other_part_narrowed() {
    let mut fleet = deploy_with_hosts()
        .usual_vpc("d", "198.51.100.4")
        .nat("d", "d", &["198.51.100.4", "198.51.100.5"])
        .host("second", "deploy", "d", "10.0.1.5")
        .chained("deploy", |_| {})
        .applied(usize::MAX);
    // Half of where instances leave from goes, and the only place that others come from moves.
    fleet.region().instances.remove("i-second").expect("a host");
    let fleet = with_another_caller(fleet.edit_role("web", |role| role.attached.clear()));
    let mut fleet = fleet.settings(|settings| settings.max_narrowing = "30%".parse().unwrap());
    fleet.region().instances.remove("i-web").expect("a host");
    for vpc in ["a", "d"] {
        let subnets = &mut fleet.region().subnets;
        subnets.retain(|_, subnet| subnet.vpc.as_str() != format!("vpc-{vpc}"));
    }
    let plan = fleet.plan();
    let deploy = of(&plan, "deploy");
    assert!(
        deploy
            .holds
            .iter()
            .all(|hold| matches!(hold, Hold::Narrowing(_))),
        "{:?}",
        deploy.holds
    );
    assert!(!deploy.holds.is_empty());
    let fleet = fleet.applied(usize::MAX);
    for home in ["198.51.100.1", "198.51.100.3"] {
        assert_eq!(denied(&fleet, "deploy", home), None);
    }
    let fleet = fleet.applied(usize::MAX);
    assert!(denied(&fleet, "deploy", "198.51.100.1").is_some());
    assert_eq!(denied(&fleet, "deploy", "198.51.100.3"), None);
    let of_instances = Document {
        statements: of_instances(&fleet, "deploy"),
    };
    assert!(of_instances.to_json().contains("198.51.100.4/31"));
    assert_eq!(of(&fleet.plan(), "deploy").outcome, Outcome::Held);
    assert_eq!(fleet.plan().steps().count(), 0);
}

#[test]
fn a_list_that_has_no_room_beside_the_pin_of_instances_is_held_and_these_go_on() {
    let own = |mut fleet: Fleet, of: &str, role: &str, hosts: u8| {
        for number in 1..=hosts {
            let (private, public) = (format!("10.0.1.{number}"), format!("{of}.{}", 2 * number));
            fleet = fleet.public_host(&format!("{role}{number}"), role, role, &private, &public);
        }
        fleet
    };
    let subnet = |fleet: Fleet, name: &str| {
        let fleet = fleet.subnet(name, name);
        fleet.route(name, "0.0.0.0/0", Target::InternetGateway)
    };
    let fleet = subnet(subnet(Fleet::new(), "web"), "deploy").settings(|settings| {
        settings.allow_launch_gap = true;
        settings.max_policies = Some(1);
    });
    let fleet = own(
        own(fleet, "198.51.100", "deploy", 90),
        "203.0.113",
        "web",
        90,
    );
    let fleet = fleet.assumed("deploy", &["web"]).chained("deploy", |_| {});
    assert!(matches!(holds(&fleet, "deploy")[..], [Hold::NoRoom(_)]));
    let waits = of(&fleet.plan(), "deploy").chained.clone().unwrap().pending;
    assert!(waits.is_some());
    let fleet = fleet.applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "9.9.9.9"), None);
    assert!(!of_instances(&fleet, "deploy").is_empty());
    assert_eq!(fleet.plan().steps().count(), 0);
    let fleet = fleet
        .settings(|settings| settings.max_policies = Some(2))
        .applied(usize::MAX);
    assert!(denied(&fleet, "deploy", "9.9.9.9").is_some());
    assert_eq!(denied(&fleet, "deploy", "203.0.113.2"), None);
}
