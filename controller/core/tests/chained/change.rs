//! What becomes of a pin that is there: by another fleet, another rule, somebody else.

use super::*;

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

/// `web` in three VPCs, which may assume `deploy`, as may a user from where the config says.
fn three_vpcs_and_a_user(prefix: &str) -> Fleet {
    let mut fleet = Fleet::new().subnet("ci", "ci");
    for vpc in ["a", "b", "c"] {
        let nat = format!("198.51.100.{}", vpc.as_bytes()[0]);
        fleet = fleet.usual_vpc(vpc, &nat).host(vpc, "web", vpc, "10.0.1.5");
    }
    let alice = "arn:aws:iam::111122223333:user/alice";
    fleet
        .settings(|settings| settings.mode = Mode::Observe)
        .assumed("deploy", &["web", alice])
        .chained("deploy", |rule| {
            rule.callers.insert(alice.into());
            rule.prefixes.insert(id(prefix));
            rule.vpcs.insert(id("vpc-ci"));
        })
}

#[test]
fn what_the_operator_stated_goes_when_he_takes_it_back() {
    let fleet = three_vpcs_and_a_user("203.0.112.0/20").applied(usize::MAX);
    let stated = ["203.0.113.66", "vpc-ci/10.9.9.9"];
    for home in stated {
        assert_eq!(denied(&fleet, "deploy", home), None, "{home}");
    }
    let fleet = fleet
        .settings(|settings| {
            settings.chained[0].prefixes.clear();
            settings.chained[0].vpcs.clear();
        })
        .applied(usize::MAX);
    assert_eq!(holds(&fleet, "deploy"), []);
    for place in stated {
        assert!(denied(&fleet, "deploy", place).is_some(), "{place}");
    }
    assert_eq!(denied(&fleet, "deploy", "198.51.100.97"), None);
    assert_eq!(fleet.plan().steps().count(), 0);
}

#[test]
fn a_wide_prefix_that_is_stated_makes_no_light_of_what_is_found() {
    let mut fleet = three_vpcs_and_a_user("203.0.112.0/20").applied(usize::MAX);
    for host in ["i-b", "i-c"] {
        fleet.region().instances.remove(host).expect("a host");
    }
    let held = holds(&fleet, "deploy");
    assert!(
        matches!(&held[..], [Hold::Narrowing(narrowing)] if narrowing.percent == 67),
        "{held:?}"
    );
    // To state where the hosts were is to answer for it.
    let fleet = fleet.settings(|settings| {
        let rule = &mut settings.chained[0];
        rule.prefixes.insert(id("198.51.100.96/28"));
        rule.vpcs.extend([id("vpc-b"), id("vpc-c")]);
    });
    assert_eq!(holds(&fleet, "deploy"), []);
}

#[test]
fn a_list_that_fits_no_policy_takes_in_others_only_where_that_is_allowed_and_then_it_is_said() {
    let scattered = |lossy| {
        deploy_of_many(2).settings(|settings| {
            settings.mode = Mode::Observe;
            settings.allow_lossy = lossy;
        })
    };
    assert!(matches!(
        holds(&scattered(false), "deploy")[..],
        [Hold::TooLarge(_)]
    ));
    let fleet = scattered(true);
    let told = |fleet: &Fleet| {
        let plan = fleet.plan();
        let mut warnings = of(&plan, "deploy").warnings.clone().into_iter();
        warnings
            .find(|it| it.contains("allow-lossy"))
            .unwrap_or_default()
    };
    assert_eq!(holds(&fleet, "deploy"), []);
    // 400 prefixes do not fit, and one that joins two of them takes in two addresses of others (a /30).
    assert!(told(&fleet).contains(" addresses"), "{}", told(&fleet));
    let fleet = fleet.applied(usize::MAX);
    for number in [0, 2, 400, 798] {
        let home = std::net::Ipv4Addr::from(u32::from_be_bytes([198, 51, 0, 0]) + number);
        assert_eq!(denied(&fleet, "deploy", &home.to_string()), None);
    }
    for place in ["203.0.113.66", "198.51.4.1", "198.50.255.255"] {
        assert!(denied(&fleet, "deploy", place).is_some(), "{place}");
    }
    assert_eq!(fleet.plan().steps().count(), 0);
    // What fits as it is takes in nobody.
    let exact = deploy_of_many(1).settings(|settings| settings.allow_lossy = true);
    assert_eq!(told(&exact), "");
}
