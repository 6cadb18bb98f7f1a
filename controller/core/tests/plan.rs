//! Steps, holds and modes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod fleet;

use std::collections::BTreeSet;

use credpin_core::{
    estate::{InstanceState, Target},
    exposure::Exposure,
    footprint::LaunchGap,
    plan::{Hold, Outcome, RolePlan, Step, WantsReplay, difference},
    policy::Document,
    replayed::Replayed,
    settings::{Glob, MODE_TAG, MaxNarrowing, Mode, Propagation, RoleRule, Scope, StatedEgress},
};
use credpin_ledger::Record;
use fleet::{Fleet, id, transit_gateway};

fn web() -> Fleet {
    Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .host("a1", "web", "a", "10.0.1.5")
}

/// `web` with a NAT gateway in a second zone: its pin has one address more.
fn grown() -> Fleet {
    web()
        .usual_vpc("z", "198.51.100.2")
        .host("z1", "web", "z", "10.9.1.5")
}

/// The later fleet, with IAM as the earlier one left it.
fn later(earlier: Fleet, mut later: Fleet) -> Fleet {
    later.estate.policies = earlier.estate.policies;
    for (name, role) in earlier.estate.roles {
        if let Some(seen) = later.estate.roles.get_mut(&name) {
            seen.attached = role.attached;
        }
    }
    later
}

fn only(fleet: &Fleet) -> RolePlan {
    let plan = fleet.plan();
    assert_eq!(plan.roles.len(), 1);
    plan.roles.into_iter().next().unwrap()
}

fn steps(fleet: &Fleet) -> Vec<String> {
    fleet.plan().steps().map(ToString::to_string).collect()
}

fn rule(name: &str, mode: Mode) -> RoleRule {
    RoleRule {
        name: Glob::new(name),
        account: None,
        mode,
    }
}

fn all() -> usize {
    usize::MAX
}

#[test]
fn a_fleet_whose_pin_is_in_force_needs_no_step() {
    let fleet = web().applied(all());
    let role = only(&fleet);
    assert_eq!(role.outcome, Outcome::Unchanged);
    assert_eq!(role.steps, []);
    assert_eq!(role.in_force, role.pin);
}

#[test]
fn an_empty_account_has_an_empty_plan() {
    assert_eq!(Fleet::new().plan().roles, []);
}

#[test]
fn a_new_pin_is_made_and_then_attached() {
    let size = web().pin("web").sealed_size();
    let arn = "arn:aws:iam::111122223333:policy/credpin/credpin-web";
    assert_eq!(
        steps(&web()),
        [
            format!("create policy {arn} ({size} characters)"),
            format!("attach {arn} to role web")
        ]
    );
}

#[test]
fn killed_after_any_step_and_run_again_it_ends_where_it_was_going() {
    let start = || later(web().applied(all()), grown());
    let end = start().applied(all());
    let count = start().plan().steps().count();
    for killed_after in 0..=count {
        let fleet = start().applied(killed_after).applied(all());
        assert_eq!(fleet.estate, end.estate, "killed after step {killed_after}");
        assert_eq!(only(&fleet).outcome, Outcome::Unchanged);
    }
    for killed_after in 0..=2 {
        let fleet = web().applied(killed_after).applied(all());
        assert_eq!(fleet.estate, web().applied(all()).estate);
    }
}

#[test]
fn versions_are_pruned_so_that_a_sixth_never_fails_and_the_previous_one_is_kept() {
    let (small, large) = (web, grown);
    let mut fleet = small().applied(all());
    for round in 0..8 {
        let before = only(&fleet).in_force.unwrap().policies.remove(0).document;
        let next = if round % 2 == 0 { large() } else { small() };
        fleet = later(fleet, next).applied(all());
        let policy = fleet.estate.policies.values().next().unwrap();
        assert!(policy.versions.len() <= 5);
        let previous = policy.previous().unwrap().text.clone().unwrap();
        assert_eq!(previous, before.sealed().to_json());
    }
}

#[test]
fn out_of_the_box_nothing_is_written() {
    let fleet = web().settings(|settings| settings.mode = Mode::Observe);
    let role = only(&fleet);
    assert_eq!(role.outcome, Outcome::Observed);
    assert_eq!(role.steps, []);
    assert!(role.pin.is_some(), "what would be written is shown");
}

/// `web`, for whose first pin a replay is wanted.
fn replayed(replays: &[(&str, u64)]) -> Fleet {
    web().settings(|settings| {
        settings.without_replay = false;
        for (made, denied) in replays {
            settings.replays.add(Replayed {
                role: id("web"),
                made: made.parse().unwrap(),
                calls: 1000,
                denied: *denied,
                unknown: 3,
            });
        }
    })
}

#[test]
fn a_first_pin_wants_a_replay_that_is_not_old_and_found_nothing() {
    for (replays, wanted) in [
        (&[][..], Some(WantsReplay::Missing)),
        (&[("2026-11-16T12:00:00Z", 0)], None),
        (
            &[("2026-11-16T11:59:59Z", 0)],
            Some(WantsReplay::Old("2026-11-16T11:59:59Z".parse().unwrap())),
        ),
        (&[("2026-11-22T12:00:00Z", 4)], Some(WantsReplay::Denied(4))),
    ] {
        let role = only(&replayed(replays));
        let held = wanted.clone().map(Hold::Replay);
        assert_eq!(role.holds, held.into_iter().collect::<Vec<_>>());
        let outcome = if wanted.is_some() {
            Outcome::Held
        } else {
            Outcome::Change
        };
        assert_eq!(role.outcome, outcome, "{replays:?}");
    }
}

#[test]
fn a_pin_that_is_in_force_is_kept_true_without_a_replay() {
    let fleet =
        later(web().applied(all()), grown()).settings(|settings| settings.without_replay = false);
    assert_eq!(only(&fleet).outcome, Outcome::Change);
}

#[test]
fn an_excluded_role_gets_no_pin_and_loses_none() {
    let exclude = |fleet: Fleet| {
        fleet.settings(|settings| {
            settings.exclude = vec![Glob::new("w*")];
            settings.roles = vec![rule("web", Mode::Observe)];
        })
    };
    let role = only(&exclude(web()));
    assert_eq!((role.outcome, role.steps.len()), (Outcome::Observed, 0));
    assert_eq!(hold(&exclude(web().applied(all()))), Hold::Excluded);
}

#[test]
fn in_canary_the_share_is_pinned_and_going_there_takes_no_pin_off() {
    let canary = |fleet: Fleet, share: &str| {
        fleet.settings(|settings| {
            settings.mode = Mode::Canary;
            settings.canary_share = share.parse().unwrap();
            settings.roles = vec![rule("web", Mode::Canary)];
        })
    };
    let role = only(&canary(web(), "0%"));
    assert_eq!(
        (role.stage, role.outcome),
        (Mode::Canary, Outcome::Observed)
    );
    assert_eq!(only(&canary(web(), "100%")).outcome, Outcome::Change);
    let pinned = canary(web().applied(all()), "0%");
    assert_eq!(only(&pinned).outcome, Outcome::Unchanged);
}

#[test]
fn a_tag_on_the_role_tightens_its_mode() {
    let fleet = web()
        .settings(|settings| settings.mode = Mode::Observe)
        .edit_role("web", |role| {
            role.tags.insert(MODE_TAG.into(), "enforce".into());
        });
    assert_eq!(only(&fleet).outcome, Outcome::Change);
}

#[test]
fn a_role_put_back_to_observe_loses_its_pin() {
    let fleet = web()
        .applied(all())
        .settings(|settings| settings.roles = vec![rule("w*", Mode::Observe)]);
    assert_eq!(
        steps(&fleet),
        ["detach arn:aws:iam::111122223333:policy/credpin/credpin-web from role web"]
    );
    assert_eq!(only(&fleet.applied(all())).outcome, Outcome::Observed);
}

#[test]
fn a_pin_that_no_rule_speaks_of_is_not_taken_off_by_silence() {
    // A config that was not found, or a name that no longer matches.
    let fleet = web()
        .applied(all())
        .settings(|settings| settings.mode = Mode::Observe);
    assert_eq!(hold(&fleet), Hold::Unsaid);
}

#[test]
fn what_an_operator_released_or_rolled_back_stays_so() {
    let released = web()
        .applied(all())
        .edit_policy("web", |policy| policy.released = true);
    let role = only(&released);
    assert_eq!((role.outcome, role.steps.len()), (Outcome::Released, 0));

    let rolled_back = later(web().applied(all()), grown())
        .applied(all())
        .edit_policy("web", |policy| {
            policy.versions[0].default = true;
            policy.versions[1].default = false;
        });
    let role = only(&rolled_back);
    assert_eq!((role.outcome, role.steps.len()), (Outcome::RolledBack, 0));
}

fn hold(fleet: &Fleet) -> Hold {
    let role = only(fleet);
    assert_eq!(role.outcome, Outcome::Held);
    assert_eq!(role.steps, []);
    assert!(fleet.plan().is_held());
    role.holds.into_iter().next().unwrap()
}

#[test]
fn a_partial_view_holds_every_role_and_leaves_its_pin() {
    let fleet = later(web().applied(all()), grown()).gap("DescribeInstances");
    let hold = hold(&fleet);
    assert!(matches!(hold, Hold::Gap(_)));
    assert_eq!(
        hold.to_string(),
        "the view is incomplete: DescribeInstances in eu-west-1: timed out on page 3"
    );
}

#[test]
fn egress_that_cannot_be_told_holds() {
    let fleet = Fleet::new()
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", transit_gateway())
        .host("a1", "web", "a", "10.0.1.5");
    assert!(matches!(hold(&fleet), Hold::UnknownEgress(_)));
}

#[test]
fn a_host_that_could_start_outside_its_pin_holds_unless_that_is_accepted() {
    let fleet = Fleet::new()
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", Target::InternetGateway)
        .public_host("a1", "web", "a", "10.0.1.5", "203.0.113.5");
    assert_eq!(
        hold(&fleet),
        Hold::LaunchGap(LaunchGap::OwnPublicIpv4(id("subnet-a")))
    );
    let accepted = fleet.settings(|settings| settings.allow_launch_gap = true);
    assert_eq!(only(&accepted).outcome, Outcome::Change);
}

#[test]
fn an_empty_public_subnet_that_gives_no_addresses_is_no_launch_gap_and_one_that_does_is() {
    let mut fleet = web();
    assert_eq!(only(&fleet).outcome, Outcome::Change);
    fleet
        .region()
        .subnets
        .get_mut("subnet-apub")
        .unwrap()
        .maps_public_ipv4 = true;
    assert_eq!(
        hold(&fleet),
        Hold::LaunchGap(LaunchGap::OwnPublicIpv4(id("subnet-apub")))
    );
}

#[test]
fn a_subnet_without_hosts_yet_is_in_the_pin() {
    let fleet = web()
        .nat("zone2", "apub", &["198.51.100.77"])
        .subnet("zone2", "a");
    let fleet = fleet.route("zone2", "0.0.0.0/0", fleet::via_nat("zone2"));
    let json = fleet.pin("web").to_json();
    assert!(json.contains("198.51.100.77/32"), "{json}");
}

#[test]
fn a_pin_too_large_for_a_policy_is_held_and_never_cut() {
    let public: Vec<String> = (0..400_u32)
        .map(|n| format!("198.18.{}.{}", n / 100, 2 * (n % 100) + 1))
        .collect();
    let public: Vec<&str> = public.iter().map(String::as_str).collect();
    let fleet = web().nat("a", "apub", &public);
    assert!(matches!(hold(&fleet), Hold::TooLarge(size) if size > 6144));
}

#[test]
fn no_room_for_one_more_policy_on_the_role_holds() {
    let fleet = web().edit_role("web", |role| {
        role.attached = (0..20)
            .map(|n| id(&format!("arn:aws:iam::aws:policy/P{n}")))
            .collect();
    });
    assert_eq!(hold(&fleet), Hold::AttachmentQuota(20));
}

#[test]
fn the_controllers_own_role_and_awss_roles_are_never_pinned() {
    let own = web();
    let arn = own.estate.roles["web"].arn.clone();
    assert_eq!(
        hold(&own.settings(|settings| settings.own_role = Some(arn))),
        Hold::OwnRole
    );
    let reserved = web().edit_role("web", |role| {
        role.path = "/aws-reserved/sso.amazonaws.com/".into();
    });
    assert!(matches!(hold(&reserved), Hold::ReservedPath(_)));
}

#[test]
fn a_policy_in_force_that_credpin_would_not_write_is_not_taken_for_ours() {
    let allow =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let fleet = web()
        .applied(all())
        .edit_policy("web", |policy| policy.versions[0].text = Some(allow.into()));
    assert!(matches!(hold(&fleet), Hold::Edited(_)));
}

/// `web` pinned, and its list edited by hand: a document of our shape, in a version of its own.
fn edited() -> Fleet {
    web().applied(all()).edit_policy("web", |policy| {
        let mut theirs = policy.versions[0].clone();
        policy.versions[0].default = false;
        theirs.id = id("v2");
        let text = theirs.text.unwrap();
        theirs.text = Some(text.replace("198.51.100.1/32", "198.51.0.0/16"));
        policy.versions.push(theirs);
    })
}

#[test]
fn what_somebody_else_made_of_our_policy_is_shown_and_holds() {
    let Hold::Edited(edit) = hold(&edited()) else {
        panic!("{:?}", only(&edited()).holds)
    };
    assert_eq!(edit.changes.len(), 1);
    assert_eq!(edit.changes[0].sid, "PublicVpcA");
    assert_eq!(edit.changes[0].added, ["198.51.0.0/16"]);
    assert_eq!(edit.changes[0].removed, ["198.51.100.1/32"]);
}

#[test]
fn what_somebody_else_made_of_our_policy_is_written_over_where_that_is_said() {
    let take_over = |fleet: Fleet| fleet.settings(|settings| settings.take_over = true);
    let anything =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let unreadable = edited().edit_policy("web", |policy| {
        policy.versions[1].text = Some(anything.into());
    });
    let unsealed = web().applied(all()).edit_policy("web", |policy| {
        let text = policy.versions[0].text.take().unwrap();
        let document = Document::parse(&text).unwrap().unsealed().unwrap();
        policy.versions[0].text = Some(document.to_json());
    });
    for fleet in [edited(), unreadable, unsealed] {
        let fleet = take_over(fleet);
        assert_eq!(only(&fleet).outcome, Outcome::Change);
        let fleet = fleet.applied(all());
        let fleet = fleet.settings(|settings| settings.take_over = false);
        assert_eq!(only(&fleet).outcome, Outcome::Unchanged);
    }
}

#[test]
fn a_stale_pin_that_locks_a_host_out_is_said_and_mended() {
    let fleet = later(web().applied(all()), grown());
    let role = only(&fleet);
    assert!(
        role.warnings.iter().any(|warning| warning.contains("i-z1")),
        "{:?}",
        role.warnings
    );
    assert_eq!(only(&fleet.applied(all())).warnings, Vec::<String>::new());
}

#[test]
fn a_role_whose_last_host_is_gone_keeps_its_pin() {
    let mut fleet = web().applied(all());
    fleet.region().instances.clear();
    let role = only(&fleet);
    assert_eq!((role.outcome, role.steps.len()), (Outcome::Idle, 0));
}

#[test]
fn roles_without_instances_or_pins_are_none_of_our_business() {
    assert_eq!(Fleet::new().role("lambda").plan().roles, []);
}

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
fn a_difference_names_the_statement_and_the_addresses() {
    let changes = difference(&[&web().pin("web")], &[&grown().pin("web")]);
    let of = |sid: &str| {
        changes
            .iter()
            .find(|change| change.sid == sid)
            .cloned()
            .unwrap()
    };
    assert!(
        of("PublicVpcZ")
            .added
            .contains(&"198.51.100.2/32".to_owned())
    );
    assert_eq!(of("PublicOther").added, ["vpc-z"]);
    assert_eq!(difference(&[&web().pin("web")], &[&web().pin("web")]), []);
}

#[test]
fn the_same_account_in_any_order_gives_the_same_plan_byte_for_byte() {
    let one = web()
        .host("a2", "web", "a", "10.0.1.6")
        .host("b1", "batch", "a", "10.0.1.7");
    let other = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .host("b1", "batch", "a", "10.0.1.7")
        .host("a2", "web", "a", "10.0.1.6")
        .host("a1", "web", "a", "10.0.1.5");
    let json = |fleet: &Fleet| serde_json::to_string(&fleet.plan()).unwrap();
    assert_eq!(json(&one), json(&other));
}

#[test]
fn hubs_are_checked_too() {
    let fleet =
        web().settings(|settings| settings.hub_vpcs = Some(BTreeSet::from([id("vpc-hub")])));
    assert_eq!(only(&fleet).outcome, Outcome::Change);
}

/// A record of a token that expires after [`fleet::NOW`].
fn record(instance: &str, role: &str) -> Record {
    serde_json::from_value(serde_json::json!({
        "schema": 1, "kind": "issued", "time": "2026-11-23T11:00:00Z", "boot_id": "b", "seq": 1,
        "account": "111122223333", "region": "eu-west-1", "instance_id": instance,
        "public_ipv4s": ["203.0.113.66"], "private_ipv4s": ["10.66.6.6"], "vpc": "vpc-0badbad",
        "role": role, "access_key_id": "ASIAEXAMPLE", "issued": "2026-11-23T11:00:00Z",
        "expires": "2026-11-23T17:00:00Z", "consumer": {"peer": "127.0.0.1"},
        "imds_version": "2", "proxy_version": "0.1.0",
    }))
    .unwrap()
}

#[test]
fn records_inform_and_never_change_a_step() {
    let fleet = web();
    let plan_with = |records: &[Record]| {
        credpin_core::plan::plan(
            &fleet.estate,
            records,
            &fleet.settings,
            fleet::NOW.parse().unwrap(),
        )
    };
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

#[test]
fn an_out_of_date_policy_is_brought_up_to_date_before_it_is_attached() {
    // Detached, and the fleet changed: part of IAM may see the attachment with the old document.
    let mut fleet = later(web().applied(all()), grown());
    fleet.estate.roles.get_mut("web").unwrap().attached.clear();
    assert!(matches!(
        only(&fleet).steps.as_slice(),
        [
            Step::CreateVersion { .. },
            Step::Wait { seconds: 60, .. },
            Step::Attach { .. }
        ]
    ));
    // Killed on its way, and run again at once.
    let fleet = fleet.applied(1);
    assert!(matches!(
        only(&fleet).steps.as_slice(),
        [Step::Wait { seconds: 60, .. }, Step::Attach { .. }]
    ));
    assert_eq!(only(&fleet.applied(all())).outcome, Outcome::Unchanged);
}

/// `web` with its NAT gateway replaced.
fn replaced() -> Fleet {
    Fleet::new()
        .usual_vpc("a", "198.51.100.99")
        .host("a1", "web", "a", "10.0.1.5")
}

#[test]
fn a_pin_is_widened_and_after_a_wait_narrowed() {
    let fleet = later(web().applied(all()), replaced());
    let role = only(&fleet);
    let [
        Step::CreateVersion { document: wide, .. },
        Step::Wait { seconds: 60, .. },
        Step::CreateVersion {
            document: narrow, ..
        },
    ] = role.steps.as_slice()
    else {
        panic!("{:?}", role.steps)
    };
    let wide = wide.to_json();
    assert!(wide.contains("198.51.100.1/32") && wide.contains("198.51.100.99/32"));
    assert_eq!(
        narrow.unsealed().as_ref(),
        Some(&role.pin.clone().unwrap().policies[0].document)
    );
    // Killed after the first step, the next run goes on where it stopped.
    let rest = only(&fleet.applied(1)).steps;
    assert_eq!(rest, role.steps[1..]);
}

#[test]
fn a_run_waits_only_for_what_was_written_of_late() {
    let widened = |seconds_ago: i64| {
        later(web().applied(all()), replaced())
            .applied(1)
            .edit_policy("web", |policy| {
                let now: jiff::Timestamp = fleet::NOW.parse().unwrap();
                let made = now - jiff::SignedDuration::from_secs(seconds_ago);
                policy.versions.last_mut().unwrap().created = Some(made);
            })
    };
    let first = |fleet: &Fleet| only(fleet).steps[0].to_string();
    assert_eq!(first(&widened(20)), "wait 40 s, until all of IAM has that");
    assert!(first(&widened(60)).starts_with("put a new version"));
}

#[test]
fn what_only_widens_and_what_is_new_waits_for_nothing() {
    for fleet in [web(), later(web().applied(all()), grown())] {
        let waits = |step: &Step| matches!(step, Step::Wait { .. });
        assert!(!only(&fleet).steps.iter().any(waits));
    }
}

#[test]
fn where_iam_shows_writes_at_once_nothing_is_waited_for() {
    let fleet = later(web().applied(all()), replaced())
        .settings(|settings| settings.propagation = Propagation::of_seconds(0));
    assert!(matches!(
        only(&fleet).steps.as_slice(),
        [Step::CreateVersion { .. }, Step::CreateVersion { .. }]
    ));
}

#[test]
fn too_much_gone_in_one_run_is_widened_and_not_narrowed() {
    let two = || web().nat("a", "apub", &["198.51.100.1", "198.51.100.2"]);
    let fleet = later(two().applied(all()), replaced());
    let role = only(&fleet);
    assert_eq!(role.outcome, Outcome::Held);
    assert!(fleet.plan().is_held());
    let hold = role.holds[0].to_string();
    assert!(
        hold.starts_with(
            "100 % of the addresses that its pin admits would go (198.51.100.1/32, 198.51.100.2/32)"
        ),
        "{hold}"
    );
    assert!(matches!(
        role.steps.as_slice(),
        [Step::CreateVersion { .. }]
    ));
    // Nobody is locked out meanwhile, and it stays so until somebody says that they are gone.
    let fleet = fleet.applied(all());
    let role = only(&fleet);
    assert_eq!((role.outcome, role.steps.len()), (Outcome::Held, 0));
    assert_eq!(role.warnings, Vec::<String>::new());
    let agreed = fleet.settings(|settings| {
        settings.max_narrowing = MaxNarrowing::of_percent(100).unwrap();
    });
    assert_eq!(only(&agreed).outcome, Outcome::Change);
    assert_eq!(only(&agreed.applied(all())).outcome, Outcome::Unchanged);
}

#[test]
fn a_rolled_back_role_can_still_be_put_to_observe() {
    let fleet = later(web().applied(all()), grown())
        .applied(all())
        .edit_policy("web", |policy| {
            policy.versions[0].default = true;
            policy.versions[1].default = false;
        })
        .settings(|settings| settings.roles = vec![rule("web", Mode::Observe)]);
    assert!(matches!(
        only(&fleet).steps.as_slice(),
        [Step::Detach { .. }]
    ));
}

#[test]
fn a_vpc_whose_last_host_is_gone_stays_in_the_pin() {
    let mut fleet = grown().applied(all());
    fleet.region().instances.remove("i-z1");
    assert_eq!(
        only(&fleet).outcome,
        Outcome::Unchanged,
        "hosts there may come back"
    );
    fleet
        .region()
        .subnets
        .retain(|_, subnet| subnet.vpc.as_str() != "vpc-z");
    assert_eq!(
        only(&fleet).outcome,
        Outcome::Change,
        "until the VPC itself is gone"
    );
}

#[test]
fn a_stopped_host_in_a_public_subnet_may_come_back_with_another_address() {
    let mut fleet = Fleet::new()
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", Target::InternetGateway)
        .host("a1", "web", "a", "10.0.1.5");
    assert_eq!(only(&fleet).outcome, Outcome::Change);
    let host = fleet.region().instances.get_mut("i-a1").unwrap();
    host.state = InstanceState::Stopped;
    assert_eq!(
        hold(&fleet),
        Hold::LaunchGap(LaunchGap::OwnPublicIpv4(id("subnet-a")))
    );
}

#[test]
fn an_instance_that_shows_no_interface_or_one_elsewhere_holds() {
    let mut fleet = web();
    let host = |fleet: &mut Fleet| fleet.region().instances.get_mut("i-a1").unwrap().clone();
    let mut blind = host(&mut fleet);
    blind.interfaces.clear();
    fleet.region().instances.insert(blind.id.clone(), blind);
    assert!(hold(&fleet).to_string().contains("shows no interface"));

    let mut fleet = web().usual_vpc("other", "198.51.100.50");
    let mut reaching = host(&mut fleet);
    let mut arm = reaching.interfaces[0].clone();
    (arm.vpc, arm.subnet) = (id("vpc-other"), id("subnet-other"));
    reaching.interfaces.push(arm);
    fleet
        .region()
        .instances
        .insert(reaching.id.clone(), reaching);
    let fleet = fleet.settings(|settings| settings.allow_launch_gap = true);
    assert!(hold(&fleet).to_string().contains("vpc-other"));
    let hub = fleet.settings(|settings| settings.hub_vpcs = Some([id("vpc-other")].into()));
    assert_eq!(only(&hub).outcome, Outcome::Change);
}

#[test]
fn a_profile_that_no_role_holds_and_a_role_that_was_swapped_are_said() {
    let mut fleet = web();
    let host = fleet.region().instances.get_mut("i-a1").unwrap();
    host.profile = Some(id("arn:aws:iam::111122223333:instance-profile/gone"));
    let plan = credpin_core::plan::plan(
        &fleet.estate,
        &[record("i-a1", "web")],
        &fleet.settings,
        fleet::NOW.parse().unwrap(),
    );
    assert!(plan.warnings[0].contains("instance-profile/gone, which no role holds"));
    assert!(
        plan.warnings[1].contains("has live tokens of web on record, and has another role now")
    );
}

#[test]
fn a_comma_in_a_roles_name_is_no_comma_in_its_tag() {
    assert_eq!(credpin_core::plan::role_tag(&id("web,api")), "web/api");
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

#[test]
fn a_hold_that_keeps_a_stale_pin_says_how_to_end_it() {
    let fleet = later(web().applied(all()), grown()).gap("DescribeAddresses");
    let warnings = only(&fleet).warnings;
    assert!(warnings.iter().any(|warning| warning.contains("i-z1")));
    assert!(warnings.last().unwrap().contains("credpin release web"));
}
