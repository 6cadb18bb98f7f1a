//! Hosts that leave by different addresses are kept apart: by subnet, by address, in as many
//! documents as there are places for.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod fleet;

use std::collections::BTreeSet;

use credpin_core::{
    credential::Credential,
    estate::Target,
    evaluate::{denied_by, statement_applies},
    exposure::{Exposure, Limits},
    footprint::Host,
    id::InstanceId,
    plan::{Hold, Outcome, Plan, RolePlan, Step},
    policy::Document,
    position::Position,
    request::Key,
    verify::{Promise, verify},
};
use fleet::{Fleet, id, via_nat};
use proptest::{prelude::*, test_runner::TestRunner};

/// Two zones of one VPC, each with a NAT gateway of its own, and a subnet of hosts with public
/// addresses.
fn zones() -> Fleet {
    let zone = |fleet: Fleet, name: &str, net: &str, nat: &str| {
        fleet
            .subnet(name, "v")
            .ipv4(name, net)
            .nat(name, "pub", &[nat])
            .route(name, "0.0.0.0/0", via_nat(name))
    };
    let fleet = Fleet::new()
        .settings(|settings| settings.allow_launch_gap = true)
        .subnet("pub", "v")
        .ipv4("pub", "10.0.0.0/24")
        .route("pub", "0.0.0.0/0", Target::InternetGateway);
    let fleet = zone(fleet, "a", "10.0.1.0/24", "198.51.100.1");
    zone(fleet, "b", "10.0.2.0/24", "198.51.100.2")
        .host("a1", "web", "a", "10.0.1.5")
        .host("a2", "web", "a", "10.0.1.6")
        .host("b1", "web", "b", "10.0.2.5")
        .public_host("p1", "web", "pub", "10.0.0.5", "203.0.113.5")
        .public_host("p2", "web", "pub", "10.0.0.6", "203.0.113.9")
}

/// So many hosts of one role in one subnet, each with a public address of its own that joins with
/// no other's.
fn crowd(hosts: u32) -> Fleet {
    let fleet = Fleet::new()
        .settings(|settings| settings.allow_launch_gap = true)
        .subnet("pub", "v")
        .ipv4("pub", "10.0.0.0/16")
        .route("pub", "0.0.0.0/0", Target::InternetGateway);
    (0..hosts).fold(fleet, |fleet, number| {
        let (private, public) = (2 * number + 5, 4 * number + 1);
        fleet.public_host(
            &format!("{number:04}"),
            "web",
            "pub",
            &format!("10.0.{}.{}", private >> 8, private & 255),
            &format!("198.18.{}.{}", public >> 8, public & 255),
        )
    })
}

fn web(plan: &Plan) -> &RolePlan {
    plan.role(&id("web")).expect("it has hosts")
}

fn limits(plan: &Plan) -> &Limits {
    match web(plan).exposure_pinned.as_ref().expect("it has hosts") {
        Exposure::Limited(limits) => limits,
        other => panic!("{other:?}"),
    }
}

/// What the pin makes of a token of a host used from an address of the internet.
fn denied(fleet: &Fleet, host: &Host, address: &str) -> Option<String> {
    let credential = Credential::of(&fleet.estate.roles["web"], host);
    let from = Position::Internet(address.parse().unwrap());
    let request = credential.used_from(&from, "s3:GetObject");
    let pin = fleet.pin("web");
    denied_by([&pin], &request).map(|statement| statement.sid.clone())
}

fn host_of(fleet: &Fleet, name: &str) -> Host {
    let plan = fleet.plan();
    let hosts = &web(&plan).footprint.hosts;
    let host = hosts
        .iter()
        .find(|host| host.instance == id(&format!("i-{name}")));
    host.expect("a host of this fleet").clone()
}

#[test]
fn a_host_with_a_public_address_can_use_only_that_one() {
    let fleet = zones();
    for (host, home) in [
        ("a1", "198.51.100.1"),
        ("b1", "198.51.100.2"),
        ("p1", "203.0.113.5"),
        ("p2", "203.0.113.9"),
    ] {
        for address in ["198.51.100.1", "198.51.100.2", "203.0.113.5", "203.0.113.9"] {
            let denied = denied(&fleet, &host_of(&fleet, host), address);
            assert_eq!(
                denied.is_none(),
                address == home,
                "{host} from {address}: {denied:?}"
            );
        }
    }
    let plan = fleet.plan();
    let worst = limits(&plan);
    assert_eq!(
        (worst.hosts.worst, worst.v4.worst),
        (1, 0),
        "a1 and a2 share a NAT gateway"
    );
}

#[test]
fn a_host_that_is_launched_is_admitted_where_its_subnet_leads() {
    let fleet = zones();
    let newcomer = |private: &str| Host {
        instance: id("i-new"),
        primary_ipv4: Some(private.parse().unwrap()),
        ..host_of(&fleet, "a1")
    };
    assert_eq!(denied(&fleet, &newcomer("10.0.1.77"), "198.51.100.1"), None);
    assert_eq!(denied(&fleet, &newcomer("10.0.2.77"), "198.51.100.2"), None);
    assert!(denied(&fleet, &newcomer("10.0.1.77"), "198.51.100.2").is_some());
}

#[test]
fn a_role_behind_nat_gateways_by_zone_stays_launch_safe() {
    let mut fleet = zones().settings(|settings| settings.allow_launch_gap = false);
    for public in ["i-p1", "i-p2"] {
        fleet.region().instances.remove(public);
    }
    let plan = fleet.plan();
    assert_eq!(
        web(&plan).outcome,
        Outcome::Change,
        "{:?}",
        web(&plan).holds
    );
    assert_eq!(web(&plan).footprint.groups["vpc-v"].len(), 2);
}

#[test]
fn none_of_the_others_closes_the_division() {
    let fleet = zones();
    let elsewhere = Host {
        primary_ipv4: Some("10.0.99.1".parse().unwrap()),
        ..host_of(&fleet, "a1")
    };
    let without_ipv4 = Host {
        primary_ipv4: None,
        ..host_of(&fleet, "a1")
    };
    let of_another_vpc = Host {
        vpc: id("vpc-w"),
        ..host_of(&fleet, "a1")
    };
    for host in [elsewhere, without_ipv4, of_another_vpc] {
        assert!(denied(&fleet, &host, "192.0.2.1").is_some(), "{host:?}");
    }
}

#[test]
fn hosts_that_share_an_address_are_not_kept_apart() {
    let fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .ipv4("a", "10.0.1.0/24")
        .host("a1", "web", "a", "10.0.1.5")
        .host("a2", "web", "a", "10.0.1.6");
    let plan = fleet.plan();
    assert_eq!(web(&plan).footprint.groups, [].into());
    assert_eq!(web(&plan).pin.as_ref().unwrap().policies.len(), 1);
}

#[test]
fn a_host_with_arms_in_two_subnets_leaves_by_either() {
    let mut fleet = zones();
    let host = fleet.region().instances.get_mut("i-a1").unwrap();
    let mut arm = host.interfaces[0].clone();
    (arm.id, arm.subnet) = (id("eni-arm"), id("subnet-b"));
    arm.ipv4[0].private = "10.0.2.99".parse().unwrap();
    host.interfaces.push(arm);
    for (host, address, admitted) in [
        ("a1", "198.51.100.1", true),
        ("a1", "198.51.100.2", true),
        ("a2", "198.51.100.1", true),
        ("a2", "198.51.100.2", false),
        ("b1", "198.51.100.1", false),
    ] {
        let denied = denied(&fleet, &host_of(&fleet, host), address);
        assert_eq!(denied.is_none(), admitted, "{host} from {address}");
    }
    // One more like it may be launched.
    let newcomer = Host {
        primary_ipv4: Some("10.0.1.77".parse().unwrap()),
        ..host_of(&fleet, "a1")
    };
    assert_eq!(denied(&fleet, &newcomer, "198.51.100.2"), None);
}

#[test]
fn the_same_vpc_id_in_two_regions_with_the_same_subnets_is_not_divided() {
    let mut fleet = zones();
    let mut other = fleet.region().clone();
    for instance in other.instances.values_mut() {
        instance.profile = Some(id("arn:aws:iam::111122223333:instance-profile/web"));
    }
    let nat = other.nat_gateways.get_mut("nat-a").unwrap();
    nat.public_ipv4 = vec!["198.51.100.66".parse().unwrap()];
    fleet.estate.regions.insert(id("us-east-1"), other);
    let plan = fleet.plan();
    assert_eq!(web(&plan).footprint.groups, [].into());
    assert_eq!(
        web(&plan).outcome,
        Outcome::Change,
        "{:?}",
        web(&plan).holds
    );
}

#[test]
fn more_policies_keep_more_hosts_apart() {
    let worst = |policies| {
        let fleet = crowd(40).settings(|settings| settings.max_policies = Some(policies));
        let plan = fleet.plan();
        assert_eq!(
            web(&plan).outcome,
            Outcome::Change,
            "{:?}",
            web(&plan).holds
        );
        assert!(web(&plan).pin.as_ref().unwrap().policies.len() <= policies);
        limits(&plan).hosts.worst
    };
    let by_policies: Vec<u64> = (1..=5).map(worst).collect();
    assert!(
        by_policies.is_sorted_by(|more, fewer| more >= fewer),
        "{by_policies:?}"
    );
    assert!(by_policies[0] > 1 && by_policies[4] == 0, "{by_policies:?}");
}

#[test]
fn a_host_with_an_address_of_its_own_is_kept_apart_in_a_role_of_twenty_five() {
    assert_eq!(limits(&crowd(25).plan()).hosts.worst, 0);
}

#[test]
fn a_pin_of_several_policies_is_put_in_force_and_settles() {
    let fleet = crowd(25);
    let first = fleet.plan();
    let steps: Vec<String> = first.steps().map(ToString::to_string).collect();
    assert_eq!(steps.len(), 6, "{steps:#?}");
    assert!(steps[2].contains("/credpin2-web"), "{steps:#?}");
    let fleet = fleet.applied(usize::MAX);
    let plan = fleet.plan();
    assert_eq!(web(&plan).outcome, Outcome::Unchanged);
    assert_eq!(web(&plan).in_force, web(&plan).pin);
    assert_eq!(web(&plan).in_force.as_ref().unwrap().policies.len(), 3);
}

#[test]
fn a_host_replaced_rewrites_few_policies() {
    let mut fleet = crowd(60).applied(usize::MAX);
    let gone = fleet.region().instances.remove("i-0030").unwrap();
    let private = "10.0.200.1";
    let fleet = fleet.public_host("new", "web", "pub", private, "198.18.200.1");
    assert_ne!(gone.primary_ipv4.unwrap().to_string(), private);
    let plan = fleet.plan();
    let steps: Vec<&Step> = plan.steps().collect();
    for phase in steps.split(|step| matches!(step, Step::Wait { .. })) {
        assert!(
            (1..=2).contains(&phase.len()),
            "the group it comes to, and the one of all others: {phase:?}"
        );
        let written = |step: &&Step| matches!(step, Step::CreateVersion { .. });
        assert!(phase.iter().all(written));
    }
    assert_eq!(
        web(&fleet.applied(usize::MAX).plan()).outcome,
        Outcome::Unchanged
    );
}

#[test]
fn a_role_that_shrinks_gives_policies_up_after_the_others_are_written() {
    let mut fleet = crowd(25).applied(usize::MAX);
    let keep: BTreeSet<InstanceId> = ["i-0001", "i-0002"].map(id).into();
    fleet.region().instances.retain(|id, _| keep.contains(id));
    fleet.settings.max_narrowing = "100%".parse().unwrap();
    let plan = fleet.plan();
    let steps: Vec<&Step> = plan.steps().collect();
    let detaches = |step: &&&Step| matches!(step, Step::Detach { .. });
    assert_eq!(steps.iter().filter(detaches).count(), 2);
    assert!(matches!(steps.last(), Some(Step::Detach { .. })));
    let fleet = fleet.applied(usize::MAX);
    assert_eq!(web(&fleet.plan()).outcome, Outcome::Unchanged);
    assert_eq!(fleet.estate.roles["web"].attached.len(), 1);
}

#[test]
fn policies_of_others_leave_fewer_places_and_one_is_kept_free() {
    let attached = |number: usize| {
        crowd(25).edit_role("web", |role| {
            role.attached = (0..number)
                .map(|n| id(&format!("arn:aws:iam::aws:policy/P{n}")))
                .collect();
        })
    };
    let policies = |fleet: &Fleet| web(&fleet.plan()).pin.as_ref().unwrap().policies.len();
    assert_eq!(policies(&attached(16)), 3);
    assert_eq!(policies(&attached(17)), 2);
    assert_eq!(policies(&attached(18)), 1);
    let full = attached(19);
    assert_eq!(web(&full.plan()).holds, [Hold::AttachmentQuota(19)]);
}

#[test]
fn roles_take_what_is_left_of_the_quota_in_turn_however_many_are_planned_at_once() {
    let mut fleet = Fleet::new().usual_vpc("a", "198.51.100.1");
    for number in 0..40 {
        let (host, role) = (format!("h{number}"), format!("role{number:02}"));
        fleet = fleet.host(&host, &role, "a", &format!("10.0.1.{number}"));
    }
    for spare in [0, 1, 2, 3, 7, 25, 40] {
        fleet.estate.customer_policies = 1500 - spare;
        let plan = fleet.plan();
        let of = |outcome: Outcome| plan.roles.iter().map(move |role| role.outcome == outcome);
        assert!(
            of(Outcome::Change).eq((0..40).map(|place| place < spare)),
            "{spare}"
        );
        assert!(
            of(Outcome::Held).eq((0..40).map(|place| place >= spare)),
            "{spare}"
        );
    }
}

#[test]
fn the_accounts_quota_of_policies_is_kept() {
    let left = |spare: usize| {
        let mut fleet = crowd(25);
        fleet.estate.customer_policies = 1500 - spare;
        fleet
    };
    let policies = |fleet: &Fleet| web(&fleet.plan()).pin.as_ref().unwrap().policies.len();
    assert_eq!(policies(&left(3)), 3);
    assert_eq!(policies(&left(2)), 2);
    let full = left(0);
    assert_eq!(web(&full.plan()).holds, [Hold::PolicyQuota(1500)]);
    let raised = full.settings(|settings| settings.policy_quota = Some(2000));
    assert_eq!(policies(&raised), 3);

    // Two roles do not count on the same room.
    let mut both = left(1).host("other", "batch", "pub", "10.0.250.1");
    both.estate.regions.values_mut().for_each(|region| {
        region
            .instances
            .retain(|id, _| ["i-other", "i-0001"].contains(&id.as_str()));
    });
    let plan = both.plan();
    assert_eq!(plan.role(&id("batch")).unwrap().outcome, Outcome::Change);
    assert_eq!(web(&plan).outcome, Outcome::Held);
}

#[test]
fn a_role_named_like_the_second_policy_of_another_has_its_own() {
    let fleet = crowd(25)
        .host("other", "web-2", "pub", "10.0.250.1")
        .applied(usize::MAX);
    let plan = fleet.plan();
    assert_eq!(plan.role(&id("web-2")).unwrap().outcome, Outcome::Unchanged);
    assert_eq!(web(&plan).outcome, Outcome::Unchanged);
    assert_eq!(fleet.estate.policies.len(), 4);
}

/// Every credential of the role, whatever its VPC and address, is selected by exactly one statement
/// about the internet.
fn selecting(pin: &Document, fleet: &Fleet, host: &Host) -> Vec<String> {
    let credential = Credential::of(&fleet.estate.roles["web"], host);
    let from = Position::Internet("192.0.2.1".parse().unwrap());
    let request = credential.used_from(&from, "s3:GetObject");
    pin.statements
        .iter()
        .filter(|statement| statement.sid.starts_with("Public"))
        .filter(|statement| statement_applies(statement, &request))
        .map(|statement| statement.sid.clone())
        .collect()
}

#[test]
fn every_credential_falls_into_exactly_one_group() {
    let fleet = crowd(20);
    let (pin, known) = (fleet.pin("web"), host_of(&fleet, "0001"));
    let address = prop_oneof![
        Just(None),
        any::<u32>().prop_map(|bits| Some(bits.into())),
        (0..50_u32).prop_map(|near| Some((0x0a00_0000 + near).into())),
    ];
    let vpc = prop::sample::select(vec!["vpc-v", "vpc-w"]);
    let property = |(primary_ipv4, vpc)| {
        let host = Host {
            primary_ipv4,
            vpc: id(vpc),
            ..known.clone()
        };
        let selecting = selecting(&pin, &fleet, &host);
        prop_assert_eq!(selecting.len(), 1, "{:?} {:?}", host, selecting);
        Ok(())
    };
    let mut runner = TestRunner::default();
    runner.run(&(address, vpc), property).unwrap();
}

fn promises_broken(fleet: &Fleet, broken: &Document) -> BTreeSet<Promise> {
    let plan = fleet.plan();
    let footprint = &web(&plan).footprint;
    verify(
        &fleet.estate.roles["web"],
        footprint,
        &fleet.settings,
        &[broken],
    )
    .iter()
    .map(|found| found.promise)
    .collect()
}

/// The pin with one list of one statement changed.
fn with_list(pin: &Document, sid: &str, key: Key, nets: &[&str]) -> Document {
    use credpin_core::policy::Test;
    let mut pin = pin.clone();
    let statement = pin.statements.iter_mut().find(|it| it.sid == sid).unwrap();
    let nets = nets.iter().map(|net| net.parse().unwrap()).collect();
    *statement = statement.clone().when(key, Test::NotIpAddress(nets));
    pin
}

#[test]
fn the_proof_finds_a_group_that_admits_another_groups_address() {
    let fleet = zones();
    let pin = fleet.pin("web");
    assert_eq!(promises_broken(&fleet, &pin), [].into());
    let of_vpc = |sid: &&str| sid.starts_with("Public") && *sid != "PublicOther";
    let sids: Vec<&str> = pin.statements.iter().map(|it| it.sid.as_str()).collect();
    assert_eq!(sids.iter().copied().filter(of_vpc).count(), 4);
    for sid in sids.into_iter().filter(of_vpc) {
        let all = ["198.51.100.0/30", "203.0.113.5/32", "203.0.113.9/32"];
        let broken = with_list(&pin, sid, Key::SourceIp, &all);
        assert_eq!(
            promises_broken(&fleet, &broken),
            [Promise::OutsiderIsDenied].into(),
            "{sid}"
        );
    }
}

#[test]
fn the_proof_finds_a_subnet_whose_next_host_would_be_denied() {
    // What selects the hosts that are there, and not the subnet that they are in.
    use credpin_core::policy::Test;
    let fleet = zones();
    let mut pin = fleet.pin("web");
    let by_subnet = pin
        .statements
        .iter_mut()
        .find(|it| {
            it.conditions()
                .any(|(_, test)| test.values() == ["10.0.2.0/24"])
        })
        .unwrap();
    let hosts = Test::IpAddress(vec!["10.0.2.5/32".parse().unwrap()]);
    *by_subnet = by_subnet
        .clone()
        .when(Key::Ec2InstanceSourcePrivateIpv4, hosts);
    let rest = ["10.0.0.6/32", "10.0.2.5/32", "10.0.0.5/32"];
    let pin = with_list(&pin, "PublicVpcV", Key::Ec2InstanceSourcePrivateIpv4, &rest);
    assert!(promises_broken(&fleet, &pin).contains(&Promise::LaunchIsAdmitted));
}

#[test]
fn exposure_is_told_by_instance_and_for_the_account() {
    let fleet = zones().applied(usize::MAX);
    let plan = fleet.plan();
    let Exposure::Limited(limits) = &web(&plan).exposure_now else {
        panic!("a pin is in force")
    };
    let by_instance: Vec<(&str, u64)> = limits
        .instances
        .iter()
        .map(|it| (it.instance.as_str(), it.hosts))
        .collect();
    assert_eq!(
        by_instance,
        [
            ("i-a1", 1),
            ("i-a2", 1),
            ("i-b1", 0),
            ("i-p1", 0),
            ("i-p2", 0)
        ]
    );
    assert_eq!(plan.exposure_now.limited, 5);
    assert_eq!(plan.exposure_now.everything, 0);
    assert_eq!(plan.exposure_now.hosts.worst, 1);
    assert!((plan.exposure_now.hosts.mean - 0.4).abs() < 1e-9);
}
