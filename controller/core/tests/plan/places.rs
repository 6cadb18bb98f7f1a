//! Hosts that come, go and move, and the subnets that they are launched in.

use std::collections::BTreeSet;

use credpin_core::{
    estate::{InstanceState, Target},
    footprint::LaunchGap,
    plan::{Hold, Outcome},
};

use super::{
    all,
    fleet::{self, Fleet, id},
    grown, hold, only, record, web,
};

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
fn hubs_are_checked_too() {
    let fleet =
        web().settings(|settings| settings.hub_vpcs = Some(BTreeSet::from([id("vpc-hub")])));
    assert_eq!(only(&fleet).outcome, Outcome::Change);
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
    let plan = fleet.plan_with(&[record("i-a1", "web")], &fleet.settings);
    assert!(plan.warnings[0].contains("instance-profile/gone, which no role holds"));
    assert!(
        plan.warnings[1].contains("has live tokens of web on record, and has another role now")
    );
}
