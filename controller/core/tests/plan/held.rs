//! What holds a role.

use credpin_core::{
    plan::{Hold, Outcome},
    policy::Document,
    settings::{IdleAfter, Mode},
};

use super::{
    all,
    fleet::{Fleet, id, transit_gateway},
    grown, hold, later, only, web,
};

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
    for path in [
        "/aws-reserved/sso.amazonaws.com/",
        "/aws-service-role/autoscaling.amazonaws.com/",
    ] {
        let reserved = web().edit_role("web", |role| role.path = path.into());
        assert_eq!(hold(&reserved), Hold::ReservedPath(path.into()));
    }
}

#[test]
fn a_role_that_no_instance_has_is_idle_and_says_how_long_it_has_not_been_used() {
    let used = |at: Option<&str>| {
        Fleet::new()
            .role("web")
            .edit_role("web", |role| {
                role.last_used = at.map(|at| at.parse().unwrap());
            })
            .settings(|settings| settings.without_replay = false)
    };
    for (at, idle, said) in [
        (None, true, "AWS has not seen it used"),
        (
            Some("2026-10-24T11:59:59Z"),
            true,
            "AWS last saw it used at 2026-10-24",
        ),
        (
            Some("2026-10-24T12:00:00Z"),
            false,
            "see that its region is looked at",
        ),
    ] {
        let role = only(&used(at));
        assert_eq!((role.outcome, role.steps.len()), (Outcome::Idle, 0));
        let [Hold::NoInstance(absence)] = &role.holds[..] else {
            panic!("{:?}", role.holds)
        };
        assert_eq!(absence.idle, idle, "{at:?}");
        assert!(absence.to_string().contains(said), "{absence}");
        assert!(!used(at).plan().is_held());
    }
    let sooner = used(Some("2026-11-23T11:00:00Z"))
        .settings(|settings| settings.idle_after = IdleAfter::of_seconds(60));
    assert!(matches!(&only(&sooner).holds[..], [Hold::NoInstance(absence)] if absence.idle));
}

#[test]
fn a_role_that_no_instance_has_is_shown_only_where_it_is_to_be_enforced() {
    let observed = |mode| {
        Fleet::new()
            .role("web")
            .settings(|settings| settings.mode = mode)
            .plan()
            .roles
            .len()
    };
    assert_eq!((observed(Mode::Observe), observed(Mode::Enforce)), (0, 1));
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
fn a_hold_that_keeps_a_stale_pin_says_how_to_end_it() {
    let fleet = later(web().applied(all()), grown()).gap("DescribeAddresses");
    let warnings = only(&fleet).warnings;
    assert!(warnings.iter().any(|warning| warning.contains("i-z1")));
    assert!(warnings.last().unwrap().contains("credpin release web"));
}
