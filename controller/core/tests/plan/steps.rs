//! Steps: which, in what order, and that they end.

use credpin_core::{
    plan::{Outcome, Step, difference},
    settings::{MaxNarrowing, Propagation},
};

use super::{
    all,
    fleet::{self, Fleet, id},
    grown, later, only, replaced, steps, web,
};

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
    let lambda = Fleet::new()
        .role("lambda")
        .edit_role("lambda", |role| role.profiles.clear());
    assert_eq!(lambda.plan().roles, []);
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
fn at_no_step_is_a_pinned_role_without_a_document_in_force() {
    let start = || later(web().applied(all()), replaced());
    let count = start().plan().steps().count();
    assert!(count > 2, "{count}");
    for done in 0..=count {
        let fleet = start().applied(done);
        let policy = fleet.estate.policies.values().next().unwrap();
        assert!(policy.in_force().is_some(), "after step {done}");
        assert!(fleet.estate.roles["web"].attached.contains(&policy.arn));
    }
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
fn a_comma_in_a_roles_name_is_no_comma_in_its_tag() {
    assert_eq!(credpin_core::plan::role_tag(&id("web,api")), "web/api");
}
