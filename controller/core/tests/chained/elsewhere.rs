//! Callers of other accounts of the same job.

use std::sync::Arc;

use credpin_core::chain::Elsewhere;

use super::*;

const THEIRS: &str = "arn:aws:iam::999988887777:role/ci";

/// Another account: a host of `ci` behind a NAT gateway.
fn other() -> Fleet {
    Fleet::new()
        .usual_vpc("x", "203.0.113.9")
        .host("ci", "ci", "x", "10.0.1.5")
        .edit_role("ci", |role| role.arn = id(THEIRS))
}

/// `deploy`, which that role may assume, as `principal`, with what is known of the other account.
fn deploy_by(principal: &str, other: &Fleet) -> Fleet {
    let elsewhere = Elsewhere::of(&other.estate, &other.settings);
    web_and_deploy()
        .assumed("deploy", &[principal])
        .chained("deploy", |_| {})
        .settings(|settings| settings.elsewhere = Arc::new(elsewhere))
}

#[test]
fn instances_of_another_account_that_may_assume_a_role_are_followed() {
    for principal in [THEIRS, "arn:aws:sts::999988887777:assumed-role/ci/i-ci"] {
        let fleet = deploy_by(principal, &other());
        assert_eq!(holds(&fleet, "deploy"), []);
        let plan = fleet.plan();
        let callers = &of(&plan, "deploy").chained.as_ref().unwrap().callers;
        assert_eq!(callers.elsewhere, [id(THEIRS)].into());
        // The proof looks at them too.
        let role = &fleet.estate.roles["deploy"];
        let alone = web_and_deploy().chained("deploy", |_| {}).pin("deploy");
        let found = verify::chained_locked_out(role, callers, &fleet.settings, &[&alone]);
        let denied = |sid: &str| found.iter().any(|it| it.denied_by.as_deref() == Some(sid));
        assert!(denied("ChainedPublic") && denied("ChainedEndpoint"));
        let fleet = fleet.applied(usize::MAX);
        for home in ["203.0.113.9", "vpc-x/10.0.1.5", "198.51.100.1"] {
            assert_eq!(super::denied(&fleet, "deploy", home), None, "{home}");
        }
        for place in ["203.0.113.10", "vpc-y/10.0.1.5"] {
            assert!(super::denied(&fleet, "deploy", place).is_some(), "{place}");
        }
        assert_eq!(fleet.plan().steps().count(), 0);
    }
}

#[test]
fn who_is_not_known_whole_in_his_own_account_holds_the_role_as_before() {
    let is_stranger = |fleet: &Fleet| matches!(&holds(fleet, "deploy")[..], [Hold::Caller(_)]);
    assert!(!is_stranger(&deploy_by(THEIRS, &other())));
    // Another path, a whole account, one that was not seen whole, or is not of the job.
    let path = "arn:aws:iam::999988887777:role/team/ci";
    assert!(is_stranger(&deploy_by(path, &other())));
    assert!(is_stranger(&deploy_by("999988887777", &other())));
    assert!(is_stranger(&deploy_by(
        THEIRS,
        &other().gap("DescribeSubnets")
    )));
    assert!(is_stranger(&deploy_by(THEIRS, &Fleet::new())));
    // Somebody may assume that role too, and nobody knows where he is.
    let alice = "arn:aws:iam::999988887777:user/alice";
    let open = other().edit_role("ci", |role| {
        role.trusted.insert(alice.into());
    });
    assert!(is_stranger(&deploy_by(THEIRS, &open)));
    // Where its instances leave cannot be told, and that is what holds.
    let unseen = other().route("x", "0.0.0.0/1", fleet::transit_gateway());
    let held = holds(&deploy_by(THEIRS, &unseen), "deploy");
    assert!(matches!(&held[..], [Hold::UnknownEgress(_)]), "{held:?}");
}

#[test]
fn an_account_that_is_not_seen_this_time_takes_nobodys_place_away() {
    let fleet = deploy_by(THEIRS, &other()).applied(usize::MAX);
    let unseen = Elsewhere::of(&other().gap("DescribeSubnets").estate, &other().settings);
    let fleet = fleet.settings(|settings| settings.elsewhere = Arc::new(unseen));
    assert_eq!(of(&fleet.plan(), "deploy").outcome, Outcome::Held);
    let fleet = fleet.applied(usize::MAX);
    for home in ["203.0.113.9", "vpc-x/10.0.1.5"] {
        assert_eq!(denied(&fleet, "deploy", home), None, "{home}");
    }
}

#[test]
fn what_the_config_answers_for_is_not_looked_at_in_another_account() {
    let fleet = deploy_by(THEIRS, &other()).settings(|settings| {
        settings.chained[0].callers.insert(THEIRS.into());
        settings.chained[0].prefixes.insert(id("192.0.2.0/28"));
    });
    let fleet = fleet.applied(usize::MAX);
    assert_eq!(denied(&fleet, "deploy", "192.0.2.1"), None);
    assert!(denied(&fleet, "deploy", "203.0.113.9").is_some());
}
