//! What a person is told beside the steps.

use credpin_core::{
    exposure::Exposure,
    settings::{Mode, Scope, StatedEgress},
};
use credpin_ledger::Record;

use super::{
    all,
    fleet::{self, Fleet, id, transit_gateway},
    only, record, rule, web,
};

#[test]
fn exposure_counts_the_hosts_behind_the_same_nat_gateway() {
    let fleet = web()
        .host("a2", "web", "a", "10.0.1.6")
        .host("other", "batch", "a", "10.0.1.7")
        .usual_vpc("b", "198.51.100.9")
        .host("far", "batch", "b", "10.0.1.8");
    let plan = fleet.plan();
    let role = plan.role(&id("web")).unwrap();
    assert_eq!(role.exposure_now, Exposure::Everything);
    let Some(Exposure::Limited(limits)) = &role.exposure_pinned else {
        panic!("a pin")
    };
    assert_eq!(limits.hosts.worst, 2, "a2 and other; far leaves elsewhere");
    assert_eq!(
        (limits.v4.worst, limits.v6.worst, limits.endpoints.worst),
        (0, 0, 0)
    );
}

#[test]
fn records_inform_and_never_change_a_step() {
    let fleet = web();
    let plan_with = |records: &[Record]| fleet.plan_with(records, &fleet.settings);
    let (without, with) = (
        fleet.plan(),
        plan_with(&[record("i-a1", "web"), record("i-forged", "web")]),
    );
    assert_eq!(
        without.steps().collect::<Vec<_>>(),
        with.steps().collect::<Vec<_>>()
    );
    assert_eq!(without.roles[0].pin, with.roles[0].pin);
    assert_eq!(without.roles[0].holds, with.roles[0].holds);

    assert_eq!(with.roles[0].coverage.live_tokens, 1);
    assert_eq!(
        with.warnings,
        ["i-forged has live tokens of web on record, and EC2 does not show it"]
    );
}

fn foreign(fleet: &Fleet) -> u64 {
    match only(fleet).exposure_now {
        Exposure::Limited(limits) => limits.v4.worst,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_that_is_ours_no_more_is_counted_as_foreign() {
    let mut fleet = web().applied(all());
    assert_eq!(foreign(&fleet), 0);
    let nat = fleet.region().nat_gateways.get_mut("nat-a").unwrap();
    nat.public_ipv4 = vec![fleet::ipv4("198.51.100.77")];
    assert_eq!(
        foreign(&fleet),
        1,
        "one came and one went: that is not none"
    );
    // Ours still, although no host leaves by it any more.
    let fleet = web().applied(all()).edit_table("a", |table| {
        table.routes.last_mut().unwrap().target = transit_gateway();
    });
    assert_eq!(foreign(&fleet), 0);
}

#[test]
fn exposure_is_not_counted_on_a_partial_view() {
    let fleet = web().applied(all()).gap("DescribeInstances");
    assert_eq!(only(&fleet).exposure_now, Exposure::Unknown);
    let mut fleet = web().applied(all());
    fleet.region().instances.clear();
    assert_eq!(only(&fleet).exposure_now, Exposure::Nothing);
}

#[test]
fn settings_for_what_is_not_there_are_said() {
    let fleet = web().settings(|settings| {
        settings.roles = vec![
            rule("w*", Mode::Enforce),
            rule("web", Mode::Observe),
            rule("wbe", Mode::Enforce),
        ];
        settings.egress = vec![StatedEgress {
            scope: Scope::Vpc(id("vpc-dead")),
            prefixes: vec![],
        }];
    });
    assert_eq!(
        fleet.plan().warnings,
        [
            "[[role]] web: rules before it decide all roles of that name",
            "[[role]] wbe: no role with hosts or a pin has such a name",
            "[[egress]] vpc-dead: it was not seen",
        ]
    );
}
