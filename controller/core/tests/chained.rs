//! Roles that are assumed with the tokens of instances, pinned by egress.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod fleet;

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
fn a_chain_of_roles_is_followed_to_the_instances_that_it_begins_with() {
    let fleet = web_and_deploy()
        .usual_vpc("b", "198.51.100.2")
        .host("batch", "batch", "b", "10.0.1.5")
        .assumed("deploy", &["batch"])
        .assumed("admin", &["deploy"])
        .chained("admin", |_| {})
        .applied(usize::MAX);
    for home in [
        "198.51.100.1",
        "198.51.100.2",
        "vpc-a/10.0.1.5",
        "vpc-b/10.0.9.9",
    ] {
        assert_eq!(denied(&fleet, "admin", home), None, "{home}");
    }
    assert!(denied(&fleet, "admin", "203.0.113.66").is_some());
}

#[test]
fn roles_that_assume_each_other_or_themselves_bring_their_own_instances_along() {
    let fleet = web_and_deploy()
        .usual_vpc("b", "198.51.100.2")
        .host("deploy", "deploy", "b", "10.0.1.5")
        .chained("deploy", |_| {});
    let public = |fleet: &Fleet| {
        let plan = fleet.plan();
        let chained = of(&plan, "deploy").chained.clone().unwrap();
        chained.callers.public.len()
    };
    assert_eq!(public(&fleet), 1);
    assert_eq!(public(&fleet.assumed("deploy", &["deploy"])), 2);
    let circle = web_and_deploy()
        .usual_vpc("b", "198.51.100.2")
        .host("deploy", "deploy", "b", "10.0.1.5")
        .assumed("web", &["deploy"])
        .chained("deploy", |_| {});
    assert_eq!(public(&circle), 2);
}

#[test]
fn whoever_calls_from_nobody_knows_where_holds_the_role_and_is_named() {
    use StrangerKind::{Account, Principal, Service};
    let root = "arn:aws:iam::111122223333:root";
    for (principal, named, kind) in [
        (
            "arn:aws:iam::111122223333:user/alice",
            "user/alice",
            Principal,
        ),
        (
            "arn:aws:iam::999988887777:role/web",
            "999988887777:role/web",
            Principal,
        ),
        ("999988887777", "999988887777", Principal),
        ("AROAGONE", "AROAGONE", Principal),
        ("*", "*", Principal),
        ("111122223333", root, Account),
        (root, root, Account),
        ("lambda.amazonaws.com", "lambda.amazonaws.com", Service),
        (
            "arn:aws:iam::111122223333:saml-provider/corp",
            "saml-provider/corp",
            Principal,
        ),
    ] {
        let fleet = web_and_deploy().chained("deploy", |_| {});
        let fleet = fleet.edit_role("deploy", |role| {
            let set = match kind {
                Service => &mut role.trusted_services,
                _ if principal.contains("saml") => &mut role.trusted_providers,
                _ => &mut role.trusted,
            };
            set.insert(principal.into());
        });
        let plan = fleet.plan();
        let deploy = of(&plan, "deploy");
        assert_eq!(deploy.outcome, Outcome::Held, "{principal}");
        assert_eq!(deploy.steps, []);
        let [Hold::Caller(stranger)] = &holds(&fleet, "deploy")[..] else {
            panic!("{:?}", deploy.holds);
        };
        assert!(stranger.principal.ends_with(named), "{stranger:?}");
        assert_eq!((stranger.kind, stranger.role.as_str()), (kind, "deploy"));
        // The config can answer for all but services, which call from addresses of AWS's own.
        let answered = fleet.settings(|settings| {
            let rule = &mut settings.chained[0];
            rule.callers.insert(principal.into());
            rule.prefixes.insert("203.0.113.64/28".parse().unwrap());
            rule.vpcs.insert("vpc-ci".parse().unwrap());
        });
        let outcome = of(&answered.plan(), "deploy").outcome;
        if kind == Service {
            assert_eq!(outcome, Outcome::Held);
        } else {
            assert_eq!(outcome, Outcome::Change, "{principal}");
            let fleet = answered.applied(usize::MAX);
            for home in ["203.0.113.66", "vpc-ci/10.9.9.9", "198.51.100.1"] {
                assert_eq!(denied(&fleet, "deploy", home), None);
            }
            assert!(denied(&fleet, "deploy", "203.0.113.80").is_some());
        }
    }
}

#[test]
fn a_trust_policy_that_was_not_seen_may_name_anybody() {
    let fleet = web_and_deploy()
        .chained("deploy", |_| {})
        .edit_role("deploy", |role| role.trusted_providers.extend(["*".into()]));
    assert!(matches!(&holds(&fleet, "deploy")[..], [Hold::Caller(_)]));
}

#[test]
fn a_service_on_the_way_is_answered_for_by_the_role_that_it_has() {
    let fleet = web_and_deploy()
        .assumed("function", &[])
        .edit_role("function", |role| {
            role.trusted_services.insert("lambda.amazonaws.com".into());
        })
        .assumed("deploy", &["function"])
        .chained("deploy", |_| {});
    let [Hold::Caller(stranger)] = &holds(&fleet, "deploy")[..] else {
        panic!("{:?}", holds(&fleet, "deploy"));
    };
    assert_eq!(stranger.role.as_str(), "function");
    let arn = "arn:aws:iam::111122223333:role/function";
    assert_eq!(stranger.by_way_of.as_deref(), Some(arn));
    assert!(stranger.to_string().contains(arn), "{stranger}");
    let fleet = fleet
        .settings(|settings| {
            settings.chained[0].callers.insert(arn.into());
            settings.chained[0]
                .vpcs
                .insert("vpc-functions".parse().unwrap());
        })
        .applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "vpc-functions/10.0.0.9"), None);
    assert_eq!(denied(&fleet, "deploy", "198.51.100.1"), None);
}

#[test]
fn where_all_of_the_account_is_trusted_the_config_says_which_roles_assume_it() {
    let fleet = web_and_deploy()
        .usual_vpc("b", "198.51.100.2")
        .host("batch", "batch", "b", "10.0.1.5")
        .edit_role("deploy", |role| {
            role.trusted = ["arn:aws:iam::111122223333:root".into()].into();
        })
        .chained("deploy", |rule| rule.assumed_by.push(id("web*")))
        .applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "198.51.100.1"), None);
    assert!(denied(&fleet, "deploy", "198.51.100.2").is_some());
}

#[test]
fn instances_whose_egress_cannot_be_told_hold_the_role_that_they_may_assume() {
    let unseen = web_and_deploy().chained("deploy", |_| {}).route(
        "a",
        "0.0.0.0/1",
        fleet::transit_gateway(),
    );
    assert!(matches!(
        &holds(&unseen, "deploy")[..],
        [Hold::UnknownEgress(_)]
    ));
    let gap = web_and_deploy()
        .chained("deploy", |_| {})
        .gap("DescribeSubnets");
    let plan = gap.plan();
    let deploy = of(&plan, "deploy");
    assert_eq!(deploy.outcome, Outcome::Held);
    assert!(deploy.holds.iter().any(|hold| matches!(hold, Hold::Gap(_))));
    let own = Fleet::new()
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", Target::InternetGateway)
        .public_host("web", "web", "a", "10.0.1.5", "198.51.100.1")
        .assumed("deploy", &["web"])
        .chained("deploy", |_| {});
    assert!(matches!(&holds(&own, "deploy")[..], [Hold::LaunchGap(_)]));
    let accepted = own.settings(|settings| settings.allow_launch_gap = true);
    assert_eq!(holds(&accepted, "deploy"), []);
}

#[test]
fn a_role_that_has_no_instance_now_may_have_one_tomorrow() {
    let fleet = web_and_deploy()
        .role("night")
        .edit_role("night", |role| {
            role.trusted_services.insert("ec2.amazonaws.com".into());
        })
        .assumed("deploy", &["night"])
        .chained("deploy", |_| {});
    assert_eq!(holds(&fleet, "deploy"), [Hold::AbsentCaller(id("night"))]);
    let accepted = fleet.settings(|settings| settings.allow_launch_gap = true);
    assert_eq!(holds(&accepted, "deploy"), []);
    let nobody = Fleet::new()
        .assumed("deploy", &[])
        .chained("deploy", |_| {});
    let plan = nobody.plan();
    assert_eq!(of(&plan, "deploy").outcome, Outcome::Idle);
    assert_eq!(holds(&nobody, "deploy"), [Hold::NoCaller]);
}

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

/// `deploy` has instances of its own, and `web` may assume it.
fn deploy_with_hosts() -> Fleet {
    web_and_deploy()
        .usual_vpc("b", "198.51.100.2")
        .host("deploy", "deploy", "b", "10.0.1.5")
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

#[test]
fn what_is_in_force_and_held_is_widened_for_who_came_since_and_not_narrowed() {
    let fleet = web_and_deploy()
        .chained("deploy", |_| {})
        .applied(usize::MAX)
        .edit_role("deploy", |role| {
            role.trusted_services.insert("lambda.amazonaws.com".into());
            role.trusted.clear();
        })
        .usual_vpc("b", "198.51.100.2")
        .host("batch", "batch", "b", "10.0.1.5")
        .assumed("deploy", &["batch"])
        .applied(usize::MAX);
    let plan = fleet.plan();
    assert_eq!(of(&plan, "deploy").outcome, Outcome::Held);
    // The service is shut out, and that is told.
    let told = &of(&plan, "deploy").warnings;
    assert!(
        told.iter()
            .any(|it| it.contains("denies sessions of lambda.amazonaws.com"))
    );
    for home in [
        "198.51.100.1",
        "198.51.100.2",
        "vpc-b/10.0.1.5",
        "vpc-a/10.0.1.5",
    ] {
        assert_eq!(denied(&fleet, "deploy", home), None, "{home}");
    }
    assert!(denied(&fleet, "deploy", "203.0.113.66").is_some());
    assert_eq!(fleet.plan().steps().count(), 0);
}

#[test]
fn another_fleet_of_who_assumes_it_is_widened_waited_for_and_narrowed() {
    let fleet = web_and_deploy()
        .settings(|settings| settings.max_narrowing = "100%".parse().unwrap())
        .chained("deploy", |_| {})
        .applied(usize::MAX)
        .usual_vpc("b", "198.51.100.2")
        .host("batch", "batch", "b", "10.0.1.5")
        .edit_role("deploy", |role| role.trusted.clear())
        .assumed("deploy", &["batch"]);
    let plan = fleet.plan();
    let steps = &of(&plan, "deploy").steps;
    assert!(
        matches!(
            steps[..],
            [
                Step::CreateVersion { .. },
                Step::Wait { .. },
                Step::CreateVersion { .. }
            ]
        ),
        "{steps:?}"
    );
    let (old, new) = ("198.51.100.1", "198.51.100.2");
    let between = Fleet {
        estate: fleet.estate.clone(),
        settings: fleet.settings.clone(),
    };
    let between = between.applied_to("deploy", 1);
    assert_eq!(denied(&between, "deploy", old), None);
    assert_eq!(denied(&between, "deploy", new), None);
    assert!(denied(&between, "deploy", "203.0.113.66").is_some());
    let after = fleet.applied(usize::MAX);
    assert!(denied(&after, "deploy", old).is_some());
    assert_eq!(denied(&after, "deploy", new), None);
}

#[test]
fn too_much_gone_in_one_run_is_not_narrowed() {
    let mut fleet = Fleet::new();
    for vpc in ["a", "b", "c"] {
        let nat = format!("198.51.100.{}", vpc.as_bytes()[0]);
        fleet = fleet.usual_vpc(vpc, &nat).host(vpc, "web", vpc, "10.0.1.5");
    }
    let mut fleet = fleet
        .assumed("deploy", &["web"])
        .chained("deploy", |_| {})
        .settings(|settings| settings.roles.clear())
        .applied(usize::MAX);
    for host in ["i-b", "i-c"] {
        fleet.region().instances.remove(host).expect("a host");
    }
    // The pin of `web` itself keeps its VPCs while it is there.
    let fleet = fleet.edit_role("web", |role| role.attached.clear());
    assert!(
        matches!(&holds(&fleet, "deploy")[..], [Hold::Narrowing(_)]),
        "{:?}",
        holds(&fleet, "deploy")
    );
    let fleet = fleet.applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "198.51.100.98"), None);
}

#[test]
fn by_a_rule_it_is_taken_off_and_by_silence_it_is_not() {
    let fleet = || {
        web_and_deploy()
            .chained("deploy", |_| {})
            .applied(usize::MAX)
    };
    let silent = fleet().settings(|settings| settings.chained.clear());
    let plan = silent.plan();
    assert_eq!(of(&plan, "deploy").outcome, Outcome::Held);
    assert_eq!(holds(&silent, "deploy"), [Hold::Unsaid]);
    assert_eq!(plan.steps().count(), 0);
    let observed = fleet().settings(|settings| settings.chained[0].role.mode = Mode::Observe);
    let plan = observed.plan();
    assert!(matches!(
        of(&plan, "deploy").steps[..],
        [Step::Detach { .. }]
    ));
    let released = fleet().edit_policy("deploy", |policy| policy.released = true);
    assert_eq!(of(&released.plan(), "deploy").outcome, Outcome::Released);
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
fn a_vpc_whose_hosts_are_off_for_the_night_stays_one_that_callers_come_from() {
    let mut fleet = Fleet::new();
    for vpc in ["a", "b", "c", "d"] {
        let nat = format!("198.51.100.{}", vpc.as_bytes()[0]);
        fleet = fleet.usual_vpc(vpc, &nat).host(vpc, "web", vpc, "10.0.1.5");
    }
    let mut fleet = fleet
        .settings(|settings| settings.mode = Mode::Observe)
        .assumed("deploy", &["web"])
        .chained("deploy", |_| {})
        .applied(usize::MAX);
    fleet.region().instances.remove("i-d").expect("a host");
    // One in four is less than `max-narrowing`.
    let held = holds(&fleet, "deploy");
    assert!(
        matches!(&held[..], [Hold::Narrowing(narrowing)] if narrowing.vpcs == ["vpc-d"]),
        "{held:?}"
    );
    let fleet = fleet.applied(usize::MAX);
    for home in ["vpc-d/10.0.1.5", "198.51.100.100"] {
        assert_eq!(denied(&fleet, "deploy", home), None, "{home}");
    }
    let fleet = fleet
        .settings(|settings| settings.max_narrowing = "100%".parse().unwrap())
        .applied(usize::MAX);
    assert!(denied(&fleet, "deploy", "vpc-d/10.0.1.5").is_some());
}

#[test]
fn roles_that_are_said_to_assume_it_and_are_not_there_answer_for_nobody() {
    let root = "arn:aws:iam::111122223333:root";
    let trusting = |principal: &str, said: &str| {
        let fleet = web_and_deploy().edit_role("deploy", |role| {
            role.trusted = [
                "arn:aws:iam::111122223333:role/web".into(),
                principal.into(),
            ]
            .into();
        });
        fleet.chained("deploy", |rule| {
            rule.assumed_by.push(id(said));
            rule.callers.insert("*".into());
        })
    };
    let held = holds(&trusting(root, "front-*"), "deploy");
    assert!(
        matches!(&held[..], [Hold::Caller(stranger)] if stranger.principal == root),
        "{held:?}"
    );
    // And they are followed where anybody is trusted, too.
    let fleet = trusting("*", "batch")
        .usual_vpc("b", "198.51.100.2")
        .host("batch", "batch", "b", "10.0.1.5")
        .applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "198.51.100.2"), None);
}

/// `deploy`, and 400 hosts that may assume it, with public addresses so far apart.
fn deploy_of_many(apart: u32) -> Fleet {
    let mut fleet = Fleet::new()
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", Target::InternetGateway)
        .settings(|settings| settings.allow_launch_gap = true);
    let address = |base: [u8; 4], number: u32| {
        std::net::Ipv4Addr::from(u32::from_be_bytes(base) + number).to_string()
    };
    for number in 0..400 {
        let private = address([10, 0, 0, 10], number);
        let public = address([198, 51, 0, 0], number * apart);
        fleet = fleet.public_host(&format!("w{number}"), "web", "a", &private, &public);
    }
    fleet.assumed("deploy", &["web"]).chained("deploy", |_| {})
}

#[test]
fn a_list_is_joined_where_that_loses_nothing_and_held_where_no_policy_holds_it() {
    let joined = deploy_of_many(1);
    assert_eq!(holds(&joined, "deploy"), []);
    let joined = joined.applied(usize::MAX);
    assert_eq!(denied(&joined, "deploy", "198.51.1.143"), None);
    assert!(denied(&joined, "deploy", "198.51.1.144").is_some());
    let scattered = deploy_of_many(2);
    assert!(matches!(
        &holds(&scattered, "deploy")[..],
        [Hold::TooLarge(_)]
    ));
    assert_eq!(of(&scattered.plan(), "deploy").outcome, Outcome::Held);
}

#[test]
fn a_role_without_a_place_for_one_more_policy_is_held() {
    let fleet = web_and_deploy()
        .chained("deploy", |_| {})
        .edit_role("deploy", |role| {
            let theirs = |number| id(&format!("arn:aws:iam::111122223333:policy/theirs-{number}"));
            role.attached.extend((0..19).map(theirs));
        });
    let plan = fleet.plan();
    let deploy = of(&plan, "deploy");
    assert_eq!(deploy.outcome, Outcome::Held);
    assert_eq!(deploy.holds, [Hold::AttachmentQuota(19)]);
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
fn what_somebody_else_made_of_it_is_shown_and_written_over_only_when_told_so() {
    let edited = || {
        web_and_deploy()
            .chained("deploy", |_| {})
            .applied(usize::MAX)
            .settings(|settings| settings.without_replay = false)
            .edit_policy("deploy", |policy| {
                let version = policy.versions.last_mut().unwrap();
                let text = version.text.take().unwrap();
                version.text = Some(text.replace("198.51.100.1/32", "0.0.0.0/1"));
            })
    };
    let plan = edited().plan();
    let deploy = of(&plan, "deploy");
    assert_eq!((deploy.outcome, deploy.steps.len()), (Outcome::Held, 0));
    assert!(matches!(deploy.holds[0], Hold::Edited(_)));
    // Even where no rule names it any more, it is not taken for nothing.
    let silent = edited().settings(|settings| settings.chained.clear());
    assert_eq!(of(&silent.plan(), "deploy").outcome, Outcome::Held);
    let over = edited()
        .settings(|settings| settings.take_over = true)
        .settings(|settings| settings.max_narrowing = "100%".parse().unwrap())
        .applied(usize::MAX);
    assert_eq!(denied(&over, "deploy", "198.51.100.1"), None);
    assert!(denied(&over, "deploy", "9.9.9.9").is_some());
    assert_eq!(over.plan().steps().count(), 0);
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
