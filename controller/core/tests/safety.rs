//! For any fleet at all: what would be written locks nobody out, lets nobody in, and settles.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod fleet;

use credpin_core::{
    credential::Credential,
    evaluate,
    plan::{Hold, Outcome, Step},
    policy::Document,
    position::Position,
    request::{Key, Request},
    settings::{MaxNarrowing, Settings},
    verify::verify,
};
use fleet::{
    Fleet, id,
    random::{Vpc, fleet_of, vpcs},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_planned_is_proven_or_held_for_a_reason_and_settles(vpcs in vpcs()) {
        let fleet = fleet_of(&vpcs);
        let plan = fleet.plan();
        let role = plan.role(&id("web")).expect("it has hosts");
        let pin = role.pin.as_ref().expect("it has hosts");
        match role.outcome {
            Outcome::Change => {
                prop_assert_eq!(verify(&fleet.estate.roles["web"], &role.footprint, &fleet.settings, &pin.documents()), []);
                let again = fleet.applied(usize::MAX).plan();
                prop_assert_eq!(again.role(&id("web")).expect("still there").outcome, Outcome::Unchanged);
                prop_assert_eq!(again.steps().count(), 0);
            }
            Outcome::Held => prop_assert!(
                role.holds.iter().all(|hold| matches!(hold, Hold::UnknownEgress(_) | Hold::TooLarge(_))),
                "{:?}", role.holds
            ),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// Not by the proof's own positions: an address that is no egress of the VPC is drawn at random.
    #[test]
    fn no_stranger_is_admitted(vpcs in vpcs(), bits in any::<u32>(), v6 in any::<u128>()) {
        let fleet = fleet_of(&vpcs);
        let plan = fleet.plan();
        let role = plan.role(&id("web")).expect("it has hosts");
        let pin = role.pin.as_ref().expect("it has hosts");
        for host in &role.footprint.hosts {
            let credential = Credential::of(&fleet.estate.roles["web"], host);
            let ours = &role.footprint.egress[&host.vpc];
            let strangers = [std::net::IpAddr::from(bits.to_be_bytes()), v6.to_be_bytes().into()];
            for stranger in strangers.into_iter().filter(|a| !ours.iter().any(|net| net.contains(a))) {
                let internet = credential.used_from(&Position::Internet(stranger), "s3:GetObject");
                prop_assert!(evaluate::denied_by(pin.documents(), &internet).is_some());
                let elsewhere = Position::Endpoint { vpc: id("vpc-attacker"), address: stranger };
                let elsewhere = credential.used_from(&elsewhere, "s3:GetObject");
                prop_assert!(evaluate::denied_by(pin.documents(), &elsewhere).is_some());
            }
        }
    }
}

/// The properties above say something only if fleets of both kinds are drawn.
#[test]
fn random_fleets_are_pinned_and_held() {
    let mut runner = TestRunner::deterministic();
    let mut outcomes = [0; 2];
    for _ in 0..100 {
        let vpcs = vpcs().new_tree(&mut runner).unwrap().current();
        let plan = fleet_of(&vpcs).plan();
        match plan.role(&id("web")).expect("it has hosts").outcome {
            Outcome::Change => outcomes[0] += 1,
            Outcome::Held => outcomes[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(outcomes.iter().all(|&count| count >= 15), "{outcomes:?}");
}

/// Every call of a role's hosts from home, each as IAM sees it.
fn calls_from_home(fleet: &Fleet) -> Vec<Request> {
    let plan = fleet.plan();
    let hosts = plan
        .role(&id("web"))
        .map(|role| role.footprint.hosts.clone());
    let role = &fleet.estate.roles["web"];
    hosts
        .into_iter()
        .flatten()
        .flat_map(|host| {
            let credential = Credential::of(role, &host);
            let internet = host.public.iter().map(|net| Position::Internet(net.addr()));
            let endpoint = host.private().map(|net| Position::Endpoint {
                vpc: host.vpc.clone(),
                address: net.addr(),
            });
            let positions: Vec<Position> = internet.chain(endpoint).collect();
            positions
                .into_iter()
                .map(move |position| credential.used_from(&position, "s3:GetObject"))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// A fleet that is pinned, and the same account with another fleet in it.
fn before_and_after(before: &[Vpc], after: &[Vpc]) -> (Fleet, Fleet) {
    let everything_may_go = |settings: &mut Settings| {
        settings.max_narrowing = MaxNarrowing::of_percent(100).expect("a percentage");
    };
    let before = fleet_of(before).applied(usize::MAX);
    let mut after = fleet_of(after).settings(everything_may_go);
    after.estate.policies.clone_from(&before.estate.policies);
    let attached = before.estate.roles["web"].attached.clone();
    (
        before,
        after.edit_role("web", |role| role.attached = attached),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whichever document a part of IAM sees at whichever step.
    #[test]
    fn from_any_fleet_to_any_other_no_step_locks_out_or_lets_in(one in vpcs(), other in vpcs(), bits in any::<u32>()) {
        let (before, mut after) = before_and_after(&one, &other);
        let (old, new) = (before.plan(), after.plan());
        let (old, new) = (old.role(&id("web")).expect("hosts"), new.role(&id("web")).expect("hosts"));
        let (Some(old_pin), Some(new_pin)) = (&old.in_force, &new.pin) else { return Ok(()) };
        let ([old_pin], [new_pin]) = (&old_pin.policies[..], &new_pin.policies[..]) else { return Ok(()) };
        if new.outcome != Outcome::Change {
            prop_assert_eq!(&new.steps, &vec![]);
            return Ok(());
        }
        // What has no room in a policy meanwhile is said.
        let is_whole = !new.warnings.iter().any(|warning| warning.contains("has no room"));
        let (of_old, of_new) = (calls_from_home(&before), calls_from_home(&after));
        // From anywhere: from a stranger's address, and with each host's token from every other's.
        let stranger = std::net::IpAddr::from(bits.to_be_bytes());
        let anywhere: Vec<Request> = of_old.iter().chain(&of_new).flat_map(|call| {
            let moved = of_old.iter().chain(&of_new).filter_map(|from| from.address(Key::SourceIp));
            moved.chain([stranger]).map(|address| call.clone().with(Key::SourceIp, address)).collect::<Vec<_>>()
        }).collect();
        let denies = |document: &Document, call: &Request| evaluate::denied_by([document], call).is_some();
        let mut seen = vec![old_pin.document.clone()];
        let waits = new.steps.iter().position(|step| matches!(step, Step::Wait { .. }));
        for (number, step) in new.steps.iter().enumerate() {
            if let Step::Wait { .. } = step {
                seen = seen.split_off(seen.len() - 1);
            }
            if let Step::CreateVersion { document, .. } = step {
                prop_assert_eq!(of_new.iter().find(|call| denies(document, call)), None);
                if waits.is_some_and(|wait| number < wait) {
                    prop_assert_eq!(of_old.iter().find(|call| denies(document, call)), None);
                }
                seen.push(document.clone());
            }
            for call in anywhere.iter().filter(|call| denies(&old_pin.document, call) && denies(&new_pin.document, call)) {
                let denied = seen.iter().all(|document| denies(document, call));
                prop_assert!(denied || !is_whole, "step {}: {:?}", number, call);
            }
        }
        after = after.applied(usize::MAX);
        prop_assert_eq!(after.plan().role(&id("web")).expect("hosts").outcome, Outcome::Unchanged);
    }
}

/// The property above says something only if pairs are drawn that go by way of a union.
#[test]
fn random_pairs_of_fleets_are_widened_and_narrowed() {
    let mut runner = TestRunner::deterministic();
    let mut waits = 0;
    for _ in 0..100 {
        let mut draw = || vpcs().new_tree(&mut runner).unwrap().current();
        let (one, other) = (draw(), draw());
        let (_, after) = before_and_after(&one, &other);
        let plan = after.plan();
        let written = plan
            .steps()
            .filter(|step| matches!(step, Step::CreateVersion { .. }));
        waits += usize::from(written.count() == 2);
    }
    assert!(waits >= 15, "{waits}");
}
