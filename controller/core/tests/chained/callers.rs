//! Who may assume a role, and so where its sessions come from.

use super::*;

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
