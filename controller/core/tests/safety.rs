//! For any fleet at all: what would be written locks nobody out, lets nobody in, and settles.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod fleet;

use credpin_core::{
    credential::{Credential, Session},
    evaluate,
    id::VpcId,
    pin,
    plan::{Hold, Outcome, Pin, RolePlan, Step},
    policy::{Document, Statement},
    position::Position,
    request::{Key, Request},
    settings::{MaxNarrowing, Settings},
    verify::{self, Counterexample, verify},
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Roles are planned side by side on that ground.
    #[test]
    fn what_the_account_has_room_for_beyond_a_roles_policies_changes_nothing(
        before in vpcs(), after in vpcs(), most in 1..4_usize, more in 1..9_usize,
    ) {
        let (before, after) = before_and_after(&before, &after);
        for fleet in [before, after] {
            let of = |spare: usize| {
                let mut settings = fleet.settings.clone();
                settings.max_policies = Some(most);
                settings.policy_quota = Some(fleet.estate.customer_policies + spare);
                fleet.plan_with(&[], &settings)
            };
            prop_assert_eq!(of(most), of(most + more));
        }
    }
}

/// The account with one more host of the role, like another one of it but for its addresses.
fn with_one_more_host(mut fleet: Fleet, like: usize, last: u8) -> Fleet {
    let region = fleet.region();
    let like = like % region.instances.len();
    let mut host = region
        .instances
        .values()
        .nth(like)
        .expect("one of these")
        .clone();
    host.id = id("i-more");
    host.primary_ipv4 = Some([10, 0, 200, last].into());
    host.interfaces.truncate(1);
    let interface = &mut host.interfaces[0];
    interface.ipv4.truncate(1);
    interface.ipv4[0].private = [10, 0, 200, last].into();
    interface.ipv4[0].public = None;
    interface.ipv6.clear();
    region.instances.insert(host.id.clone(), host);
    fleet
}

/// A plan proves what it would write, and not again what is in force and right. That a pin is right has to
/// mean that it admits all hosts that there are now, which may be others than when it was proven.
#[test]
fn where_nothing_is_to_be_done_every_live_host_is_proven_under_what_is_in_force() {
    let mut runner = TestRunner::deterministic();
    let mut unchanged = [0; 2];
    for number in 0..100_u8 {
        let mut draw = || vpcs().new_tree(&mut runner).unwrap().current();
        let (_, changed) = before_and_after(&draw(), &draw());
        let settled = changed.clone().applied(usize::MAX);
        let grown = with_one_more_host(settled.clone(), usize::from(number), number);
        for (fleet, grown) in [(changed, false), (settled, false), (grown, true)] {
            let plan = fleet.plan();
            let role = plan.role(&id("web")).expect("it has hosts");
            if role.outcome == Outcome::Unchanged {
                let in_force = role.in_force.as_ref().expect("nothing is to be written");
                let seen = &fleet.estate.roles["web"];
                let broken = verify(
                    seen,
                    &role.footprint,
                    &fleet.settings,
                    &in_force.documents(),
                );
                assert_eq!(broken, []);
                unchanged[usize::from(grown)] += 1;
            }
        }
    }
    assert!(unchanged.iter().all(|count| *count >= 15), "{unchanged:?}");
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
    let after = fleet_of(after).settings(everything_may_go);
    let after = after.with_policies_of(&before);
    (before, after)
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

/// Sessions of `role` that live hosts of `web` made, each from where its host is.
fn sessions_at_home(fleet: &Fleet, role: &str) -> Vec<Request> {
    let session = Session::of(&fleet.estate.roles[role], "made-by-a-host");
    let calls = calls_from_home(fleet).into_iter();
    let positions = calls.map(|call| {
        let (address, vpc) = (call.address(Key::SourceIp), call.value(Key::SourceVpc));
        match (address, vpc) {
            (Some(address), _) => Position::Internet(address),
            (None, Some(vpc)) => Position::Endpoint {
                vpc: id(vpc),
                address: call.address(Key::VpcSourceIp).expect("beside the VPC"),
            },
            (None, None) => panic!("a call from nowhere"),
        }
    });
    positions
        .map(|position| session.used_from(&position, "s3:GetObject"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whichever document a part of IAM sees at whichever step, and wherever a run is killed and the next one goes on.
    #[test]
    fn no_step_locks_out_a_session_that_a_live_host_made_or_lets_a_stranger_in(
        one in vpcs(), other in vpcs(), own in prop::sample::select(OWN), stated in any::<[bool; 2]>(), killed in 0..12_usize, bits in any::<u32>(),
    ) {
        let with_stated = |fleet: Fleet, stated: bool| fleet.settings(|settings| {
            if stated {
                let rule = &mut settings.chained[0];
                let prefixes: [ipnet::IpNet; 2] = [id("192.0.2.0/28"), id("198.51.0.10/32")];
                rule.prefixes.extend(prefixes);
                let vpcs: [VpcId; 2] = [id("vpc-stated"), id("vpc-v0")];
                rule.vpcs.extend(vpcs);
            }
        });
        let before = with_stated(chain_of(&one, own[0]), stated[0]).applied(usize::MAX);
        let after = with_stated(chain_of(&other, own[1]), stated[1]).settings(|settings| {
            settings.max_narrowing = MaxNarrowing::of_percent(100).expect("a percentage");
        });
        let after = after.with_policies_of(&before);
        let stranger = Position::Internet(std::net::IpAddr::from(bits.to_be_bytes()));
        no_step_locks_out_or_lets_in(&after, &stranger)?;
        let killed = after.applied(killed);
        no_step_locks_out_or_lets_in(&killed, &stranger)?;
        let settled = killed.applied(usize::MAX);
        let plan = settled.plan();
        prop_assert_eq!(plan.steps().count(), 0, "{:?}", plan.steps().collect::<Vec<_>>());
        for role in &plan.roles {
            let pin: Vec<&Document> = role.in_force.iter().flat_map(|pin| pin.documents()).collect();
            if role.outcome == Outcome::Unchanged {
                prop_assert_eq!(locked_out(&settled, role, &pin), []);
            }
        }
    }
}

/// What [`chain_of`] is given before and after: most often what makes a pin of two parts of which one is held then.
const OWN: &[[u8; 2]] = &[
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
    [1, 2],
    [1, 2],
    [1, 2],
    [2, 1],
];

/// A chain of which one of the roles that are assumed may have an instance too, and that may be held.
fn chain_of(vpcs: &[Vpc], own: u8) -> Fleet {
    let fleet = fleet_of(vpcs);
    let fleet = match own {
        0 => fleet,
        1 => fleet.host("own", "deploy", "0s0", "10.0.77.7"),
        _ => fleet
            .subnet("away", "away")
            .route("away", "0.0.0.0/0", fleet::transit_gateway())
            .host("own", "deploy", "away", "10.0.77.7"),
    };
    fleet.with_a_chain()
}

/// Calls of a role's own hosts, and of sessions that others made, that documents deny.
fn locked_out(fleet: &Fleet, plan: &RolePlan, documents: &[&Document]) -> Vec<Counterexample> {
    let role = &fleet.estate.roles[&plan.role];
    let mut found = verify::locked_out(role, &plan.footprint, &fleet.settings, documents);
    if let Some(part) = &plan.chained {
        let callers = &part.callers;
        found.extend(verify::chained_locked_out(
            role,
            callers,
            &fleet.settings,
            documents,
        ));
    }
    found
}

/// What is said about tokens of a role's own instances.
fn of_instances<'d>(documents: impl IntoIterator<Item = &'d Document>) -> Vec<&'d Statement> {
    let statements = documents.into_iter().flat_map(|it| &it.statements);
    statements.filter(|it| !pin::is_chained(it)).collect()
}

/// For the roles of a chain, at each step of the plan: what is written locks nobody out, and lets nobody in whom what is
/// in force and what is to come both deny.
fn no_step_locks_out_or_lets_in(fleet: &Fleet, stranger: &Position) -> Result<(), TestCaseError> {
    let plan = fleet.plan();
    for name in ["deploy", "admin"] {
        let role = plan.role(&id(name)).expect("it is opted in");
        // By hand, and not by the proof's own calls only.
        let home = sessions_at_home(fleet, name);
        let thief = Session::of(&fleet.estate.roles[name], "thief");
        let stranger = thief.used_from(stranger, "s3:GetObject");
        let denies =
            |document: &Document, call: &Request| evaluate::denied_by([document], call).is_some();
        let documents = |pin: &Option<Pin>| -> Vec<Document> {
            pin.iter().flat_map(Pin::documents).cloned().collect()
        };
        let is_out =
            |documents: &[Document]| documents.iter().any(|document| denies(document, &stranger));
        let mut seen = documents(&role.in_force);
        let goal = role.goal().cloned();
        let has_one = seen.len() == 1 && goal.as_ref().is_some_and(|pin| pin.policies.len() == 1);
        let stays_out = has_one && is_out(&seen) && is_out(&documents(&goal));
        // What is held stays as it is, and may be out of date.
        let before = locked_out(fleet, role, &seen.iter().collect::<Vec<_>>());
        let is_new = |found: &Counterexample| role.meanwhile.is_none() || !before.contains(found);
        for step in &role.steps {
            if let Step::Wait { .. } = step {
                seen = seen.split_off(seen.len() - 1);
            }
            let (Step::CreatePolicy { document, .. } | Step::CreateVersion { document, .. }) = step
            else {
                continue;
            };
            prop_assert_eq!(home.iter().find(|call| denies(document, call)), None);
            let mut out = locked_out(fleet, role, &[document]);
            out.retain(is_new);
            prop_assert_eq!(out, [], "{} {:?}", name, step);
            let kept = of_instances(seen.iter().rev().take(1));
            if role.meanwhile.is_some() && seen.len() == 1 {
                prop_assert_eq!(of_instances([document]), kept, "{} {:?}", name, step);
            }
            seen.push(document.clone());
            if stays_out {
                let all = seen.iter().all(|document| denies(document, &stranger));
                prop_assert!(all, "{} {:?}", name, step);
            }
        }
    }
    Ok(())
}

/// The property above says something only if such pins are drawn that change, and of two parts too of which one is held.
#[test]
fn random_chains_are_pinned_and_change() {
    let mut runner = TestRunner::deterministic();
    let (mut made, mut changed, mut apart) = (0, 0, 0);
    for _ in 0..60 {
        let mut draw = || vpcs().new_tree(&mut runner).unwrap().current();
        let before = chain_of(&draw(), 1);
        let first = before.plan();
        let admin = first.role(&id("admin")).expect("it is opted in");
        made += usize::from(admin.outcome == Outcome::Change);
        let before = before.applied(usize::MAX);
        let after = chain_of(&draw(), 2).with_policies_of(&before);
        let plan = after.plan();
        let deploy = plan.role(&id("deploy")).expect("it is opted in");
        let both = deploy.in_force.is_some() && deploy.meanwhile.is_some();
        apart += usize::from(both && deploy.goal().is_some_and(Pin::has_chained));
        let steps = &plan.role(&id("admin")).expect("it is opted in").steps;
        let updates = steps
            .iter()
            .any(|step| matches!(step, Step::CreateVersion { .. }));
        changed += usize::from(updates);
    }
    assert!(
        made >= 15 && changed >= 10 && apart >= 5,
        "made {made}, changed {changed}, apart {apart}"
    );
}
