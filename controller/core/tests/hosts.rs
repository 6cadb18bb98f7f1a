//! Hosts with many addresses, and places that lead out in unusual ways: what their pins admit.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod fleet;

use credpin_core::{
    estate::{InstanceState, Interface, PrivateIpv4, Target},
    evaluate::denied_by,
    exposure::Exposure,
    footprint::LaunchGap,
    plan::{Hold, Outcome, RolePlan},
    request::{Key, Request},
    settings::{Lists, Scope, StatedEgress},
    verify::{Promise, verify},
};
use fleet::{Fleet, denied, id, via_nat};

fn web(fleet: &Fleet) -> RolePlan {
    fleet.plan().role(&id("web")).unwrap().clone()
}

fn accepting_launch_gaps(fleet: Fleet) -> Fleet {
    fleet.settings(|settings| settings.allow_launch_gap = true)
}

/// `web` is to get a pin, by which a token of `i-web` passes from each of `home` and from none of
/// `away`.
#[track_caller]
fn assert_pinned(fleet: &Fleet, home: &[&str], away: &[&str]) {
    let plan = web(fleet);
    assert_eq!(plan.outcome, Outcome::Change, "{:?}", plan.holds);
    for from in home {
        assert_eq!(denied(fleet, "web", "i-web", from), None, "{from}");
    }
    for from in away {
        assert!(denied(fleet, "web", "i-web", from).is_some(), "{from}");
    }
}

#[track_caller]
fn assert_held(fleet: &Fleet, why: &str) {
    let plan = web(fleet);
    assert_eq!(plan.outcome, Outcome::Held);
    let said: Vec<String> = plan.holds.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|hold| hold.contains(why)), "{said:?}");
}

/// A further interface of `host`, in `subnet`, with the primary one's VPC.
fn arm(mut fleet: Fleet, host: &str, subnet: &str, change: impl FnOnce(&mut Interface)) -> Fleet {
    let vpc = fleet.region().subnets[format!("subnet-{subnet}").as_str()]
        .vpc
        .clone();
    let host = id::<credpin_core::id::InstanceId>(&format!("i-{host}"));
    let host = fleet.region().instances.get_mut(&host).unwrap();
    let mut arm = Interface {
        id: id(&format!("eni-{subnet}2")),
        vpc,
        subnet: id(&format!("subnet-{subnet}")),
        ipv4: Vec::new(),
        ipv6: Vec::new(),
        ipv4_prefixes: Vec::new(),
        ipv6_prefixes: Vec::new(),
    };
    change(&mut arm);
    host.interfaces.push(arm);
    fleet
}

fn private(address: &str) -> PrivateIpv4 {
    PrivateIpv4 {
        private: fleet::ipv4(address),
        public: None,
    }
}

#[test]
fn secondary_private_addresses_are_home_at_endpoints_and_a_launch_gap() {
    let addresses = [("10.0.1.5", None), ("10.0.1.50", None)];
    let fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .role("web")
        .host_with("web", Some("web"), "a", &addresses, &[]);
    let gap = LaunchGap::SeveralAddresses(id("subnet-a"));
    assert_eq!(web(&fleet).holds, [Hold::LaunchGap(gap)]);
    assert_pinned(
        &accepting_launch_gaps(fleet),
        &["198.51.100.1", "vpc-a/10.0.1.5", "vpc-a/10.0.1.50"],
        &["198.51.100.2", "vpc-a/10.0.1.51", "vpc-b/10.0.1.50"],
    );
}

#[test]
fn a_public_address_of_a_secondary_private_one_is_home() {
    let addresses = [("10.0.1.5", None), ("10.0.1.50", Some("203.0.113.50"))];
    let fleet = Fleet::new()
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", Target::InternetGateway)
        .role("web")
        .host_with("web", Some("web"), "a", &addresses, &[]);
    assert_pinned(
        &accepting_launch_gaps(fleet),
        &["203.0.113.50"],
        &["203.0.113.51"],
    );
}

#[test]
fn each_interface_leaves_by_its_own_subnet() {
    let fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .subnet("other", "a")
        .nat("other", "apub", &["198.51.100.2"])
        .route("other", "0.0.0.0/0", via_nat("other"))
        .host("web", "web", "a", "10.0.1.5");
    let fleet = arm(fleet, "web", "other", |arm| {
        arm.ipv4 = vec![private("10.0.2.5")];
    });
    assert_pinned(
        &accepting_launch_gaps(fleet),
        &[
            "198.51.100.1",
            "198.51.100.2",
            "vpc-a/10.0.1.5",
            "vpc-a/10.0.2.5",
        ],
        &["198.51.100.3", "vpc-a/10.0.2.6"],
    );
}

#[test]
fn prefixes_delegated_to_an_interface_are_home_from_end_to_end() {
    let fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .host("web", "web", "a", "10.0.1.5");
    let fleet = arm(fleet, "web", "a", |arm| {
        arm.ipv4 = vec![private("10.0.1.6")];
        arm.ipv4_prefixes = vec![id("10.0.7.16/28")];
        arm.ipv6_prefixes = vec![id("2001:db8:7:0:1::/80")];
    });
    assert_pinned(
        &accepting_launch_gaps(fleet),
        &[
            "vpc-a/10.0.7.16",
            "vpc-a/10.0.7.31",
            "vpc-a/2001:db8:7:0:1::",
            "vpc-a/2001:db8:7:0:1:ffff:ffff:ffff",
        ],
        &[
            "vpc-a/10.0.7.15",
            "vpc-a/10.0.7.32",
            "vpc-a/2001:db8:7:0:2::",
        ],
    );
}

#[test]
fn pods_behind_a_delegated_ipv6_prefix_leave_by_it() {
    let fleet = Fleet::new()
        .subnet("a", "a")
        .route("a", "::/0", Target::EgressOnlyGateway)
        .host("web", "web", "a", "10.0.1.5");
    let fleet = arm(fleet, "web", "a", |arm| {
        arm.ipv6_prefixes = vec![id("2001:db8:7:0:1::/80")];
    });
    assert_pinned(
        &accepting_launch_gaps(fleet),
        &["2001:db8:7:0:1::9", "2001:db8:7:0:1:ffff:ffff:ffff"],
        &["2001:db8:7:0:2::", "2001:db8:7::9"],
    );
}

#[test]
fn hosts_with_endpoints_only_are_denied_the_internet_and_are_launch_safe() {
    let fleet = Fleet::new()
        .subnet("a", "a")
        .ipv4("a", "10.0.1.0/24")
        .route("a", "pl-s3", Target::GatewayEndpoint)
        .host("web", "web", "a", "10.0.1.5");
    assert_pinned(
        &fleet,
        &["vpc-a/10.0.1.5"],
        &[
            "198.51.100.1",
            "2001:db8::1",
            "vpc-a/10.0.1.6",
            "vpc-b/10.0.1.5",
        ],
    );
}

#[test]
fn endpoints_of_a_hub_in_another_vpc_are_home_once_the_config_names_it() {
    let fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .route("a", "10.200.0.0/16", fleet::transit_gateway())
        .host("web", "web", "a", "10.0.1.5");
    assert_held(&fleet, "hub-vpcs");
    let fleet = fleet.settings(|settings| settings.hub_vpcs = Some([id("vpc-hub")].into()));
    assert_pinned(
        &fleet,
        &["198.51.100.1", "vpc-a/10.0.1.5", "vpc-hub/10.0.1.5"],
        &["vpc-hub/10.0.1.6", "vpc-other/10.0.1.5"],
    );
}

/// A subnet that another account owns and shares: it shows with its routes, and what they lead to may
/// not.
fn shared_subnet() -> Fleet {
    Fleet::new()
        .subnet("shared", "theirs")
        .route("shared", "0.0.0.0/0", via_nat("theirs"))
        .host("web", "web", "shared", "10.0.1.5")
}

#[test]
fn a_subnet_shared_by_another_account_whose_nat_gateway_shows_is_pinned_to_that() {
    let seen = shared_subnet().nat("theirs", "unseen", &["198.51.100.1"]);
    // The gateway's own subnet is not shared, so neither are its routes.
    assert_held(&seen, "whose own routes were not seen");
    let whole =
        seen.subnet("unseen", "theirs")
            .route("unseen", "0.0.0.0/0", Target::InternetGateway);
    assert_pinned(&whole, &["198.51.100.1"], &["198.51.100.2"]);
}

#[test]
fn a_subnet_shared_by_another_account_holds_until_the_config_says_where_it_leaves() {
    let fleet = shared_subnet();
    assert_held(&fleet, "NAT gateway nat-theirs, which was not seen");
    let fleet = fleet.settings(|settings| {
        settings.hub_vpcs = Some([].into());
        settings.egress.push(StatedEgress {
            scope: Scope::Subnet(id("subnet-shared")),
            prefixes: vec![id("198.51.100.0/30")],
        });
    });
    assert_pinned(
        &fleet,
        &["198.51.100.0", "198.51.100.3", "vpc-theirs/10.0.1.5"],
        &["198.51.100.4"],
    );
}

#[test]
fn hosts_behind_a_nat_instance_leave_by_its_address_and_stay_launch_safe() {
    let fleet = Fleet::new()
        .subnet("pub", "a")
        .route("pub", "0.0.0.0/0", Target::InternetGateway)
        .public_host("nat", "nat", "pub", "10.0.0.9", "203.0.113.9")
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", Target::Interface(id("eni-nat")))
        .host("web", "web", "a", "10.0.1.5");
    // Through endpoints of the VPC the NAT instance is never passed: local routes are nearer.
    assert_pinned(
        &fleet,
        &["203.0.113.9", "vpc-a/10.0.1.5"],
        &["203.0.113.10", "vpc-a/10.0.0.9"],
    );
}

#[test]
fn with_a_nat_gateway_by_zone_each_zones_hosts_use_their_own() {
    let mut fleet = Fleet::new().subnet("pub", "a");
    for (zone, nat, net) in [
        ("one", "198.51.100.1", "10.0.1.0/24"),
        ("two", "198.51.100.2", "10.0.2.0/24"),
    ] {
        fleet = fleet
            .nat(zone, "pub", &[nat])
            .subnet(zone, "a")
            .ipv4(zone, net)
            .route(zone, "0.0.0.0/0", via_nat(zone));
    }
    let fleet = fleet
        .route("pub", "0.0.0.0/0", Target::InternetGateway)
        .host("web", "web", "one", "10.0.1.5")
        .host("web2", "web", "two", "10.0.2.5");
    assert_pinned(&fleet, &["198.51.100.1"], &["198.51.100.2"]);
    assert_eq!(denied(&fleet, "web", "i-web2", "198.51.100.2"), None);
    assert!(denied(&fleet, "web", "i-web2", "198.51.100.1").is_some());
}

#[test]
fn a_regional_nat_gateway_that_grows_is_a_launch_gap() {
    let mut fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .subnet("edge", "a")
        .route("edge", "0.0.0.0/0", Target::InternetGateway)
        .host("web", "web", "a", "10.0.1.5");
    let nat = fleet.region().nat_gateways.get_mut("nat-a").unwrap();
    (nat.subnet, nat.route_table, nat.grows) = (None, Some(id("rtb-edge")), true);
    nat.public_ipv4.push(fleet::ipv4("198.51.100.7"));
    assert_held(&fleet, "takes further addresses as it grows");
    assert_pinned(
        &accepting_launch_gaps(fleet),
        &["198.51.100.1", "198.51.100.7"],
        &["198.51.100.8"],
    );
}

#[test]
fn overlapping_prefixes_of_two_vpcs_are_told_apart_by_the_vpc() {
    let fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .ipv4("a", "10.0.1.0/24")
        .usual_vpc("b", "198.51.100.2")
        .ipv4("b", "10.0.1.0/24")
        .host("web", "web", "a", "10.0.1.5")
        .host("web2", "web", "b", "10.0.1.5");
    assert_pinned(
        &fleet,
        &["198.51.100.1", "vpc-a/10.0.1.5"],
        &["198.51.100.2", "vpc-b/10.0.1.5"],
    );
}

#[test]
fn a_stopped_host_keeps_its_elastic_address_and_a_starting_one_is_home() {
    for state in [InstanceState::Stopped, InstanceState::Pending] {
        let mut fleet = Fleet::new()
            .subnet("a", "a")
            .route("a", "0.0.0.0/0", Target::InternetGateway)
            .public_host("web", "web", "a", "10.0.1.5", "203.0.113.5");
        fleet.region().instances.get_mut("i-web").unwrap().state = state;
        assert_pinned(
            &accepting_launch_gaps(fleet),
            &["203.0.113.5", "vpc-a/10.0.1.5"],
            &["203.0.113.6"],
        );
    }
}

#[test]
fn a_host_whose_profile_was_swapped_is_home_to_the_new_role_only() {
    let swapped = |profile: &str| {
        let mut fleet = Fleet::new()
            .subnet("a", "a")
            .route("a", "0.0.0.0/0", Target::InternetGateway)
            .public_host("web", "web", "a", "10.0.1.5", "203.0.113.5")
            .public_host("other", "web", "a", "10.0.1.6", "203.0.113.6")
            .role("batch");
        let host = fleet.region().instances.get_mut("i-other").unwrap();
        let arn = format!("arn:aws:iam::111122223333:instance-profile/{profile}");
        host.profile = Some(id(&arn));
        accepting_launch_gaps(fleet)
    };
    let hosts = |fleet: &Fleet, role: &str| {
        fleet
            .plan()
            .role(&id(role))
            .map(|r| r.footprint.hosts.len())
    };
    assert_eq!(hosts(&swapped("web"), "web"), Some(2));
    let fleet = swapped("batch");
    assert_eq!(
        (hosts(&fleet, "web"), hosts(&fleet, "batch")),
        (Some(1), Some(1))
    );
    assert_pinned(&fleet, &["203.0.113.5"], &["203.0.113.6"]);
    assert_eq!(denied(&fleet, "batch", "i-other", "203.0.113.6"), None);
}

#[test]
fn a_profile_with_a_path_and_a_name_of_its_own_is_its_roles() {
    let profile = "arn:aws:iam::111122223333:instance-profile/team/blue/servers";
    let mut fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .host("web", "web", "a", "10.0.1.5")
        .edit_role("web", |role| {
            role.path = "/team/blue/".into();
            role.arn = id("arn:aws:iam::111122223333:role/team/blue/web");
            role.profiles = [id(profile)].into();
        });
    let host = fleet.region().instances.get_mut("i-web").unwrap();
    host.profile = Some(id(profile));
    assert_pinned(&fleet, &["198.51.100.1"], &["198.51.100.2"]);
    let applied = fleet.applied(usize::MAX);
    assert_eq!(web(&applied).outcome, Outcome::Unchanged);
}

#[test]
fn sessions_of_the_role_that_ec2_did_not_deliver_are_left_alone() {
    let fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .host("web", "web", "a", "10.0.1.5")
        .edit_role("web", |role| {
            role.trusted
                .insert("arn:aws:iam::111122223333:role/ci".into());
        });
    let pin = fleet.pin("web");
    for (session, from) in [("my-function", "203.0.113.66"), ("ci", "192.0.2.1")] {
        let call = Request::new("s3:GetObject")
            .with(Key::UserId, format_args!("AROAWEB:{session}"))
            .with(Key::SourceIp, from)
            .with(Key::ViaAwsService, false);
        assert_eq!(denied_by([&pin], &call), None, "{session}");
    }
    assert_pinned(&fleet, &["198.51.100.1"], &["203.0.113.66", "192.0.2.1"]);
}

/// Two hosts of a dual-stack subnet, and another subnet beside it.
fn dual_stack() -> Fleet {
    let mut fleet = Fleet::new();
    for (name, third) in [("a", 1), ("b", 2)] {
        fleet = fleet
            .subnet(name, "a")
            .ipv4(name, &format!("10.0.{third}.0/24"))
            .ipv6(name, &format!("2001:db8:7:{third}::/64"))
            .route(name, "::/0", Target::EgressOnlyGateway);
        let subnet = format!("subnet-{name}");
        let subnets = &mut fleet.region().subnets;
        subnets.get_mut(subnet.as_str()).unwrap().assigns_ipv6 = true;
    }
    fleet
        .role("web")
        .host_with(
            "web",
            Some("web"),
            "a",
            &[("10.0.1.5", None)],
            &["2001:db8:7:1::5"],
        )
        .host_with(
            "web2",
            Some("web"),
            "a",
            &[("10.0.1.6", None)],
            &["2001:db8:7:1::6"],
        )
}

fn by_subnets(fleet: Fleet) -> Fleet {
    fleet.settings(|settings| {
        settings.ipv6_lists = Lists::Subnets;
        settings.private_ipv4_lists = Lists::Subnets;
    })
}

#[test]
fn ipv6_addresses_are_listed_each_by_itself_out_of_the_box() {
    let fleet = dual_stack();
    assert_held(&fleet, "an IPv6 address of its own");
    assert_pinned(
        &accepting_launch_gaps(fleet),
        &["2001:db8:7:1::5", "vpc-a/2001:db8:7:1::5"],
        &["2001:db8:7:1::7", "vpc-a/2001:db8:7:1::7"],
    );
}

#[test]
fn ipv6_listed_by_subnets_admits_hosts_to_come_in_all_of_them_and_nobody_else() {
    let fleet = by_subnets(dual_stack());
    assert_eq!(web(&fleet).footprint.launch_gaps, [].into());
    assert_pinned(
        &fleet,
        &[
            "2001:db8:7:1::5",
            "2001:db8:7:1:ffff::7",
            "vpc-a/2001:db8:7:1::5",
            "vpc-a/2001:db8:7:1::7",
            "vpc-a/2001:db8:7:2::7",
        ],
        &[
            "2001:db8:7::5",
            "2001:db8:7:3::5",
            "vpc-a/2001:db8:7:3::5",
            "vpc-b/2001:db8:7:1::5",
        ],
    );
}

#[test]
fn exposure_counts_the_hosts_of_a_subnet_that_is_listed_whole_and_not_its_addresses() {
    let worst = |fleet: Fleet| match web(&fleet).exposure_pinned {
        Some(Exposure::Limited(limits)) => (limits.hosts.worst, limits.v6.worst),
        other => panic!("{other:?}"),
    };
    let with_others = || {
        dual_stack()
            .role("batch")
            .host_with("v4", Some("batch"), "a", &[("10.0.1.8", None)], &[])
            .host_with(
                "b",
                Some("batch"),
                "a",
                &[("10.0.1.9", None)],
                &["2001:db8:7:1::9"],
            )
    };
    let by_address = accepting_launch_gaps(with_others());
    assert_eq!(
        worst(by_address),
        (1, 0),
        "a list has both hosts of the role"
    );
    // i-v4 has no IPv6 address to be seen at.
    assert_eq!(worst(by_subnets(with_others())), (2, 0));
}

#[test]
fn the_proof_finds_a_host_to_come_that_a_list_of_addresses_denies() {
    let by_address = accepting_launch_gaps(dual_stack()).pin("web");
    let fleet = by_subnets(dual_stack());
    let plan = web(&fleet);
    let role = &fleet.estate.roles["web"];
    let found = verify(role, &plan.footprint, &fleet.settings, &[&by_address]);
    let promises: Vec<Promise> = found.iter().map(|found| found.promise).collect();
    assert!(promises.contains(&Promise::LaunchIsAdmitted), "{found:?}");
    assert_eq!(
        verify(
            role,
            &plan.footprint,
            &fleet.settings,
            &plan.pin.unwrap().documents()
        ),
        []
    );
}

#[test]
fn a_subnet_whose_ipv6_prefix_does_not_show_is_listed_by_address() {
    let mut fleet = by_subnets(dual_stack());
    for subnet in fleet.region().subnets.values_mut() {
        subnet.ipv6.clear();
    }
    assert_held(&fleet, "an IPv6 address of its own");
    assert_pinned(
        &accepting_launch_gaps(fleet),
        &["2001:db8:7:1::5"],
        &["2001:db8:7:1::7"],
    );
}

#[test]
fn pods_listed_by_their_subnet_come_and_go_without_a_change_of_the_pin() {
    let node = |pods: &str| {
        let fleet = Fleet::new()
            .usual_vpc("a", "198.51.100.1")
            .ipv4("a", "10.0.0.0/20")
            .host("web", "web", "a", "10.0.1.5");
        by_subnets(arm(fleet, "web", "a", |arm| {
            arm.ipv4 = vec![private("10.0.1.6")];
            arm.ipv4_prefixes = vec![id(pods)];
        }))
    };
    assert_pinned(
        &node("10.0.7.16/28"),
        &["vpc-a/10.0.1.5", "vpc-a/10.0.7.16", "vpc-a/10.0.15.255"],
        &["vpc-a/10.0.16.0", "vpc-b/10.0.7.16"],
    );
    assert_eq!(
        node("10.0.7.16/28").pin("web"),
        node("10.0.9.32/28").pin("web")
    );
}

#[test]
fn hosts_with_one_private_address_are_not_listed_by_their_subnet() {
    let fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .ipv4("a", "10.0.1.0/24")
        .host("web", "web", "a", "10.0.1.5");
    assert_pinned(&by_subnets(fleet), &["vpc-a/10.0.1.5"], &["vpc-a/10.0.1.6"]);
}
