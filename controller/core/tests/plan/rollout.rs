//! From observing to enforcing, and back.

use credpin_core::{
    plan::{Hold, Outcome, Step, WantsReplay},
    replayed::Replayed,
    settings::{Glob, MODE_TAG, Mode},
};

use super::{
    all,
    fleet::{Fleet, id},
    grown, hold, later, only, rule, steps, web,
};

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
                chained: false,
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
