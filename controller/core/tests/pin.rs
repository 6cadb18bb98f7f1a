//! What pins say, and that the proof finds what is wrong with them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod fleet;

use std::collections::BTreeSet;

use credpin_core::{
    credential::Credential,
    evaluate::denied_by,
    plan::Hold,
    policy::{Document, Statement, Test},
    position::Position,
    request::{Key, Request},
    verify::{Counterexample, Promise, verify},
};
use fleet::{Fleet, denied, id};

fn two_vpcs() -> Fleet {
    Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .usual_vpc("b", "198.51.100.2")
        .host("a1", "web", "a", "10.0.1.5")
        .host("a2", "web", "a", "10.0.1.6")
        .host("b1", "web", "b", "10.0.1.5")
}

#[test]
fn home_is_admitted_and_everything_else_is_denied_by_the_statement_that_says_so() {
    let fleet = two_vpcs();
    for (instance, from, statement) in [
        ("i-a1", "198.51.100.1", None),
        ("i-a1", "vpc-a/10.0.1.5", None),
        ("i-b1", "198.51.100.2", None),
        ("i-b1", "vpc-b/10.0.1.5", None),
        ("i-a1", "198.51.100.2", Some("PublicVpcA")),
        ("i-a1", "203.0.113.66", Some("PublicVpcA")),
        ("i-a1", "2001:db8::66", Some("PublicVpcA")),
        ("i-a1", "vpc-b/10.0.1.5", Some("EndpointVpc")),
        ("i-a1", "vpc-0attacker/10.0.1.5", Some("EndpointVpc")),
        ("i-a1", "vpc-a/10.0.1.6", Some("EndpointIpv4")),
        ("i-a1", "vpc-a/2001:db8::5", Some("EndpointIpv6")),
    ] {
        assert_eq!(
            denied(&fleet, "web", instance, from).as_deref(),
            statement,
            "{instance} from {from}"
        );
    }
}

#[test]
fn hosts_without_a_way_out_are_denied_the_whole_internet() {
    let fleet = Fleet::new()
        .subnet("a", "a")
        .host("a1", "web", "a", "10.0.1.5");
    assert_eq!(
        denied(&fleet, "web", "i-a1", "203.0.113.66").as_deref(),
        Some("PublicVpcA")
    );
    assert_eq!(denied(&fleet, "web", "i-a1", "vpc-a/10.0.1.5"), None);
    let public = &fleet.pin("web").statements[0];
    assert!(
        public.conditions().all(|(key, _)| key != Key::SourceIp),
        "a list of nothing is no list"
    );
}

#[test]
fn hosts_with_public_addresses_and_ipv6_leave_by_their_own() {
    let fleet = Fleet::new()
        .subnet("a", "a")
        .route(
            "a",
            "0.0.0.0/0",
            credpin_core::estate::Target::InternetGateway,
        )
        .route("a", "::/0", credpin_core::estate::Target::EgressOnlyGateway)
        .role("web")
        .host_with(
            "a1",
            Some("web"),
            "a",
            &[("10.0.1.5", Some("203.0.113.5"))],
            &["2001:db8:1::5"],
        )
        .settings(|settings| settings.allow_launch_gap = true);
    for home in [
        "203.0.113.5",
        "2001:db8:1::5",
        "vpc-a/10.0.1.5",
        "vpc-a/2001:db8:1::5",
    ] {
        assert_eq!(denied(&fleet, "web", "i-a1", home), None, "{home}");
    }
    for away in [
        "203.0.113.6",
        "2001:db8:1::6",
        "vpc-a/10.0.1.6",
        "vpc-a/2001:db8:1::6",
    ] {
        assert!(denied(&fleet, "web", "i-a1", away).is_some(), "{away}");
    }
}

#[test]
fn hosts_with_several_addresses_may_use_an_endpoint_from_each() {
    let fleet = Fleet::new()
        .subnet("a", "a")
        .role("web")
        .host_with(
            "a1",
            Some("web"),
            "a",
            &[("10.0.1.5", None), ("10.0.1.50", None)],
            &[],
        )
        .host("a2", "web", "a", "10.0.1.6");
    assert_eq!(denied(&fleet, "web", "i-a1", "vpc-a/10.0.1.50"), None);
    assert_eq!(denied(&fleet, "web", "i-a1", "vpc-a/10.0.1.5"), None);
    assert!(denied(&fleet, "web", "i-a1", "vpc-a/10.0.1.6").is_some());
    assert_eq!(
        denied(&fleet, "web", "i-a2", "vpc-a/10.0.1.50"),
        None,
        "what DESIGN §1 reports"
    );
}

#[test]
fn hubs_are_home_for_everybody_from_their_own_address() {
    let fleet = two_vpcs().settings(|settings| settings.hub_vpcs = Some([id("vpc-hub")].into()));
    assert_eq!(denied(&fleet, "web", "i-a1", "vpc-hub/10.0.1.5"), None);
    assert_eq!(
        denied(&fleet, "web", "i-a1", "vpc-hub/10.0.1.6").as_deref(),
        Some("EndpointIpv4")
    );
}

#[test]
fn prefixes_are_joined_only_where_nothing_is_lost() {
    let nats = [
        "198.51.100.0",
        "198.51.100.1",
        "198.51.100.2",
        "198.51.100.3",
        "198.51.100.5",
    ];
    let fleet = Fleet::new()
        .subnet("pub", "a")
        .nat("a", "pub", &nats)
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", fleet::via_nat("a"))
        .host("a1", "web", "a", "10.0.1.5");
    let listed: Vec<String> = fleet.pin("web").statements[0]
        .conditions()
        .filter(|(key, _)| *key == Key::SourceIp)
        .flat_map(|(_, test)| test.values())
        .collect();
    assert_eq!(listed, ["198.51.100.0/30", "198.51.100.5/32"]);
}

#[test]
fn every_statement_spares_other_callers_and_services() {
    for statement in two_vpcs().pin("web").statements {
        let tests: Vec<(Key, &Test)> = statement.conditions().collect();
        assert!(
            tests.contains(&(Key::SourceInstanceArn, &Test::Null(false))),
            "{}",
            statement.sid
        );
        assert!(
            tests.contains(&(Key::ViaAwsService, &Test::BoolIfExists(false))),
            "{}",
            statement.sid
        );
    }
}

fn proof(fleet: &Fleet, document: &Document) -> Vec<Counterexample> {
    let plan = fleet.plan();
    let footprint = &plan.role(&id("web")).unwrap().footprint;
    verify(
        &fleet.estate.roles["web"],
        footprint,
        &fleet.settings,
        &[document],
    )
}

#[test]
fn a_right_pin_is_proven() {
    let fleet = two_vpcs();
    assert_eq!(proof(&fleet, &fleet.pin("web")), []);
}

#[test]
fn the_proof_finds_every_statement_that_is_missing() {
    let fleet = two_vpcs();
    let pin = fleet.pin("web");
    for missing in 0..pin.statements.len() {
        let mut broken = pin.clone();
        let gone: Statement = broken.statements.remove(missing);
        let promises: BTreeSet<Promise> = proof(&fleet, &broken)
            .iter()
            .map(|found| found.promise)
            .collect();
        assert_eq!(
            promises,
            [Promise::OutsiderIsDenied].into(),
            "without {}",
            gone.sid
        );
    }
}

#[test]
fn the_proof_finds_a_host_that_would_be_locked_out() {
    let smaller = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .host("a1", "web", "a", "10.0.1.5");
    let found = proof(&two_vpcs(), &smaller.pin("web"));
    let locked_out: Vec<&Counterexample> = found
        .iter()
        .filter(|found| found.promise == Promise::HomeIsAdmitted)
        .collect();
    assert_eq!(locked_out.len(), 1);
    assert_eq!(locked_out[0].instance, id("i-b1"));
    assert_eq!(locked_out[0].denied_by.as_deref(), Some("PublicOther"));
}

#[test]
fn the_proof_finds_a_pin_that_forgets_services_and_exempt_planes() {
    let fleet = two_vpcs();
    let mut broken = fleet.pin("web");
    for statement in &mut broken.statements {
        *statement = statement
            .conditions()
            .filter(|(key, _)| *key != Key::ViaAwsService)
            .fold(
                Statement::deny(
                    &statement.sid,
                    credpin_core::policy::Actions::Only(vec!["*".into()]),
                ),
                |new, (key, test)| new.when(key, test.clone()),
            );
    }
    let promises: BTreeSet<Promise> = proof(&fleet, &broken)
        .iter()
        .map(|found| found.promise)
        .collect();
    assert!(promises.contains(&Promise::ExemptIsAdmitted));
    assert!(promises.contains(&Promise::ServiceIsAdmitted));
}

/// With both of the statements that are not there unless asked for.
fn with_options(fleet: Fleet) -> Fleet {
    fleet.settings(|settings| {
        settings.pin_derived = true;
        settings.self_defence = true;
    })
}

/// The statement that denies a call with the keys of `instance`, from home.
fn denied_at_home(
    fleet: &Fleet,
    change: impl Fn(Credential, Position) -> Request,
) -> Option<String> {
    let plan = fleet.plan();
    let host = &plan.role(&id("web")).unwrap().footprint.hosts[0];
    let credential = Credential::of(&fleet.estate.roles["web"], host);
    let request = change(credential, "198.51.100.1".parse().unwrap());
    let pin = fleet.pin("web");
    denied_by([&pin], &request).map(|statement| statement.sid.clone())
}

#[test]
fn a_session_made_of_an_instances_is_denied_where_that_is_asked_for() {
    let derived =
        |credential: Credential, home| credential.derived_used_from(&home, "s3:GetObject");
    assert_eq!(denied_at_home(&two_vpcs(), derived), None);
    let fleet = with_options(two_vpcs());
    assert_eq!(denied_at_home(&fleet, derived).as_deref(), Some("Derived"));
    let by_a_service = |credential: Credential, home| {
        let request = credential.derived_used_from(&home, "s3:GetObject");
        request.with(Key::ViaAwsService, true)
    };
    assert_eq!(denied_at_home(&fleet, by_a_service), None);
    let a_persons = |credential: Credential, home| {
        let request = credential.derived_used_from(&home, "s3:GetObject");
        request.with(Key::UserId, "AROAWEB:alice")
    };
    assert_eq!(
        denied_at_home(&fleet, a_persons),
        None,
        "the role is used by people too"
    );
}

#[test]
fn the_role_cannot_take_its_pin_off_where_that_is_asked_for() {
    let web = "arn:aws:iam::111122223333:role/web";
    let pin = "arn:aws:iam::111122223333:policy/credpin/credpin2-web";
    let fleet = with_options(two_vpcs());
    for (action, on) in [
        ("iam:DetachRolePolicy", web),
        ("iam:PutRolePolicy", web),
        ("iam:DeleteRolePermissionsBoundary", web),
        ("iam:UpdateAssumeRolePolicy", web),
        ("iam:CreatePolicyVersion", pin),
        ("iam:SetDefaultPolicyVersion", pin),
        ("iam:DeletePolicy", pin),
        ("iam:TagPolicy", pin),
    ] {
        let call = |credential: Credential, home| credential.used_from(&home, action).on(on);
        assert_eq!(denied_at_home(&two_vpcs(), call), None, "{action}");
        assert_eq!(
            denied_at_home(&fleet, call).as_deref(),
            Some("SelfDefence"),
            "{action}"
        );
        let by_a_service =
            |credential: Credential, home| credential.used_by_a_service(&home, action).on(on);
        assert_eq!(
            denied_at_home(&fleet, by_a_service).as_deref(),
            Some("SelfDefence"),
            "{action}"
        );
    }
    for (action, on) in [
        ("iam:GetRole", web),
        ("iam:PassRole", web),
        (
            "iam:DetachRolePolicy",
            "arn:aws:iam::111122223333:role/batch",
        ),
        (
            "iam:CreatePolicyVersion",
            "arn:aws:iam::111122223333:policy/theirs",
        ),
    ] {
        let call = |credential: Credential, home| credential.used_from(&home, action).on(on);
        assert_eq!(denied_at_home(&fleet, call), None, "{action} on {on}");
    }
}

#[test]
fn the_proof_finds_an_optional_statement_that_is_missing() {
    let fleet = with_options(two_vpcs());
    assert_eq!(proof(&fleet, &fleet.pin("web")), []);
    for (sid, promise) in [
        ("Derived", Promise::DerivedIsDenied),
        ("SelfDefence", Promise::PinCannotBeTakenOff),
    ] {
        let mut broken = fleet.pin("web");
        broken.statements.retain(|statement| statement.sid != sid);
        let promises: BTreeSet<Promise> = proof(&fleet, &broken)
            .iter()
            .map(|found| found.promise)
            .collect();
        assert_eq!(promises, [promise].into());
    }
}

#[test]
fn a_role_that_may_assume_itself_is_held_where_derived_sessions_are_denied() {
    for principal in [
        "arn:aws:iam::111122223333:role/web",
        "arn:aws:iam::111122223333:root",
        "111122223333",
        "*",
    ] {
        let fleet = two_vpcs().edit_role("web", |role| role.trusted = [principal.into()].into());
        let holds = |fleet: &Fleet| fleet.plan().role(&id("web")).unwrap().holds.clone();
        assert_eq!(holds(&fleet), []);
        assert_eq!(
            holds(&with_options(fleet)),
            [Hold::SelfAssumable],
            "{principal}"
        );
    }
    let trusts_another = two_vpcs().edit_role("web", |role| {
        role.trusted = ["arn:aws:iam::111122223333:role/batch".into()].into();
    });
    let plan = with_options(trusts_another).plan();
    assert_eq!(plan.role(&id("web")).unwrap().holds, []);
}
