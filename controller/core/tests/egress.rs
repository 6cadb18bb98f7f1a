//! Where traffic leaves, route by route.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod fleet;

use std::collections::BTreeSet;

use credpin_core::{
    egress::{Answer, Egress, Ways},
    estate::{PrivateIpv4, Target},
    settings::{Scope, StatedEgress},
};
use fleet::{Fleet, id, transit_gateway, via_nat};

fn egress_of(fleet: &Fleet, subnet: &str) -> Egress {
    let region = fleet.estate.regions.values().next().unwrap();
    Ways::new(region).of_subnet(&id(subnet), &fleet.settings)
}

fn shared(fleet: &Fleet, subnet: &str) -> Vec<String> {
    let egress = egress_of(fleet, subnet);
    assert_eq!(egress.unknown, BTreeSet::new());
    egress.shared.iter().map(ToString::to_string).collect()
}

fn answers(fleet: &Fleet, subnet: &str) -> Vec<Answer> {
    egress_of(fleet, subnet)
        .unknown
        .iter()
        .map(|unknown| unknown.answer)
        .collect()
}

#[test]
fn a_private_subnet_leaves_by_all_addresses_of_its_nat_gateway() {
    let fleet = Fleet::new()
        .subnet("pub", "a")
        .route("pub", "0.0.0.0/0", Target::InternetGateway)
        .nat("a", "pub", &["198.51.100.1", "198.51.100.7"])
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", via_nat("a"));
    assert_eq!(
        shared(&fleet, "subnet-a"),
        ["198.51.100.1/32", "198.51.100.7/32"]
    );
    assert!(
        !egress_of(&fleet, "subnet-a").own_v4,
        "the gateway leaves, not the host"
    );
}

#[test]
fn an_internet_gateway_means_the_hosts_own_addresses_in_the_family_of_the_route() {
    let fleet = Fleet::new()
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", Target::InternetGateway);
    assert!(egress_of(&fleet, "subnet-a").own_v4);
    assert!(!egress_of(&fleet, "subnet-a").own_v6);
    let fleet = fleet.route("a", "::/0", Target::EgressOnlyGateway);
    assert!(egress_of(&fleet, "subnet-a").own_v6);
}

#[test]
fn a_managed_prefix_list_may_hold_either_family() {
    let fleet = Fleet::new()
        .subnet("a", "a")
        .route("a", "pl-1", Target::InternetGateway);
    let egress = egress_of(&fleet, "subnet-a");
    assert!(egress.own_v4 && egress.own_v6);
}

#[test]
fn a_gateway_endpoint_and_the_vpc_itself_lead_nowhere_outside() {
    let fleet = Fleet::new()
        .subnet("a", "a")
        .route("a", "pl-s3", Target::GatewayEndpoint);
    assert_eq!(egress_of(&fleet, "subnet-a"), Egress::default());
}

#[test]
fn nat64_leaves_by_the_nat_gateways_ipv4_address() {
    let fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .subnet("six", "a");
    let fleet = fleet.route("six", "64:ff9b::/96", via_nat("a"));
    assert_eq!(shared(&fleet, "subnet-six"), ["198.51.100.1/32"]);
    assert!(!egress_of(&fleet, "subnet-six").own_v6);
}

#[test]
fn a_nat_instance_leaves_by_its_interfaces_public_address() {
    let nat = Target::Interface(id("eni-nat"));
    let mut fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .subnet("b", "a")
        .route("b", "0.0.0.0/0", nat);
    assert_eq!(
        answers(&fleet, "subnet-b"),
        [Answer::HubVpcsAndEgress],
        "not seen"
    );

    let mut interface = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .host("nat", "nat", "apub", "10.0.0.9")
        .region()
        .instances["i-nat"]
        .interfaces[0]
        .clone();
    interface.ipv4 = vec![PrivateIpv4 {
        private: fleet::ipv4("10.0.0.9"),
        public: Some(fleet::ipv4("203.0.113.9")),
    }];
    fleet
        .region()
        .interfaces
        .insert(interface.id.clone(), interface);
    assert_eq!(shared(&fleet, "subnet-b"), ["203.0.113.9/32"]);
}

#[test]
fn what_leads_out_unseen_holds_until_the_config_answers() {
    let everything = Fleet::new()
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", transit_gateway());
    assert_eq!(answers(&everything, "subnet-a"), [Answer::HubVpcsAndEgress]);
    let stated = everything.settings(|settings| {
        settings.egress.push(StatedEgress {
            scope: Scope::Vpc(id("vpc-a")),
            prefixes: vec![id("198.51.100.0/28")],
        });
    });
    assert_eq!(answers(&stated, "subnet-a"), [Answer::HubVpcs]);
    let answered = stated.settings(|settings| settings.hub_vpcs = Some(BTreeSet::new()));
    assert_eq!(shared(&answered, "subnet-a"), ["198.51.100.0/28"]);
}

#[test]
fn a_private_route_that_leads_out_asks_only_for_the_hubs() {
    let fleet =
        Fleet::new()
            .usual_vpc("a", "198.51.100.1")
            .route("a", "10.0.0.0/8", transit_gateway());
    assert_eq!(answers(&fleet, "subnet-a"), [Answer::HubVpcs]);
    let said = fleet.settings(|settings| settings.hub_vpcs = Some(BTreeSet::new()));
    assert_eq!(shared(&said, "subnet-a"), ["198.51.100.1/32"]);
}

#[test]
fn a_private_nat_gateway_is_followed_to_where_its_subnet_leads() {
    let fleet = Fleet::new()
        .subnet("hop", "a")
        .route("hop", "0.0.0.0/0", transit_gateway())
        .nat("hop", "hop", &[])
        .subnet("a", "a")
        .route("a", "10.0.0.0/8", via_nat("hop"));
    assert_eq!(
        answers(&fleet, "subnet-a"),
        [Answer::HubVpcs],
        "only 10.0.0.0/8 gets there"
    );
    let hub = fleet.settings(|settings| settings.hub_vpcs = Some([id("vpc-hub")].into()));
    let egress = egress_of(&hub, "subnet-a");
    assert_eq!(egress.unknown, BTreeSet::new());
    assert_eq!(
        egress.nat_private,
        [fleet::ipv4("10.0.0.200")].into(),
        "what the hub's endpoints see"
    );
}

#[test]
fn a_route_behind_a_nat_gateway_that_a_nearer_route_takes_before_is_not_reached() {
    let fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .route("apub", "10.0.0.0/8", transit_gateway())
        .route("a", "10.0.0.0/8", Target::Local);
    assert_eq!(shared(&fleet, "subnet-a"), ["198.51.100.1/32"]);
}

#[test]
fn nat_gateways_that_lead_to_each_other_end() {
    let fleet = Fleet::new()
        .nat("a", "a", &[])
        .nat("b", "b", &[])
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", via_nat("b"))
        .subnet("b", "a")
        .route("b", "0.0.0.0/0", via_nat("a"));
    assert_eq!(shared(&fleet, "subnet-a"), Vec::<String>::new());
}

#[test]
fn a_subnet_without_a_table_of_its_own_uses_its_vpcs_main_one() {
    let mut fleet = Fleet::new().usual_vpc("a", "198.51.100.1");
    let table = fleet.region().route_tables.get_mut("rtb-a").unwrap();
    table.subnets.clear();
    assert_eq!(answers(&fleet, "subnet-a"), [Answer::LookAgain]);
    let table = fleet.region().route_tables.get_mut("rtb-a").unwrap();
    table.main = true;
    assert_eq!(shared(&fleet, "subnet-a"), ["198.51.100.1/32"]);
}

#[test]
fn an_unknown_says_where_it_is_and_the_way_out() {
    let fleet = Fleet::new()
        .subnet("a", "a")
        .route("a", "0.0.0.0/0", transit_gateway());
    let unknown = egress_of(&fleet, "subnet-a")
        .unknown
        .into_iter()
        .next()
        .unwrap();
    let text = unknown.to_string();
    for part in [
        "subnet-a",
        "0.0.0.0/0",
        "tgw-1",
        "rtb-a",
        "[[egress]]",
        "hub-vpcs",
    ] {
        assert!(text.contains(part), "{part} in: {text}");
    }
}

#[test]
fn endpoints_beyond_a_translator_see_the_translator() {
    // A NAT instance whose subnet has an S3 endpoint, which the private subnet has not.
    let nat = Target::Interface(id("eni-nat"));
    let fleet = Fleet::new()
        .subnet("pub", "a")
        .route("pub", "0.0.0.0/0", Target::InternetGateway)
        .route("pub", "pl-s3", Target::GatewayEndpoint)
        .public_host("nat", "nat", "pub", "10.0.0.9", "203.0.113.9")
        .subnet("b", "a")
        .route("b", "0.0.0.0/0", nat);
    assert_eq!(shared(&fleet, "subnet-b"), ["203.0.113.9/32"]);
    let nat_private = |fleet: &Fleet, subnet: &str| egress_of(fleet, subnet).nat_private;
    assert_eq!(
        nat_private(&fleet, "subnet-b"),
        [fleet::ipv4("10.0.0.9")].into()
    );
    let own = fleet.route("b", "pl-s3", Target::GatewayEndpoint);
    assert_eq!(
        nat_private(&own, "subnet-b"),
        BTreeSet::new(),
        "it is reached before"
    );

    // NAT64 to an IPv4 endpoint of the VPC itself.
    let fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .subnet("six", "a");
    let fleet = fleet.route("six", "64:ff9b::/96", via_nat("a"));
    assert_eq!(
        nat_private(&fleet, "subnet-six"),
        [fleet::ipv4("10.0.0.200")].into()
    );
    assert_eq!(nat_private(&fleet, "subnet-a"), BTreeSet::new());
}

#[test]
fn a_nat_instance_with_two_arms_leaves_by_either() {
    let mut fleet = Fleet::new()
        .subnet("pub", "a")
        .route("pub", "0.0.0.0/0", Target::InternetGateway)
        .public_host("nat", "nat", "pub", "10.0.0.9", "203.0.113.9")
        .subnet("b", "a")
        .route("b", "0.0.0.0/0", Target::Interface(id("eni-inner")));
    let nat = fleet.region().instances.get_mut("i-nat").unwrap();
    let mut inner = nat.interfaces[0].clone();
    inner.id = id("eni-inner");
    inner.ipv4 = vec![PrivateIpv4 {
        private: fleet::ipv4("10.0.5.9"),
        public: None,
    }];
    nat.interfaces.push(inner);
    assert_eq!(shared(&fleet, "subnet-b"), ["203.0.113.9/32"]);
}

#[test]
fn both_tables_count_while_one_takes_the_others_place() {
    let mut fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .usual_vpc("z", "198.51.100.2");
    let table = fleet.region().route_tables.get_mut("rtb-z").unwrap();
    table.subnets.insert(id("subnet-a"));
    assert_eq!(
        shared(&fleet, "subnet-a"),
        ["198.51.100.1/32", "198.51.100.2/32"]
    );
}

#[test]
fn a_regional_gateway_is_followed_by_its_own_table_and_one_with_an_appliance_is_not_seen_through() {
    let mut fleet = Fleet::new()
        .usual_vpc("a", "198.51.100.1")
        .subnet("edge", "a");
    let nat = fleet.region().nat_gateways.get_mut("nat-a").unwrap();
    nat.subnet = None;
    assert_eq!(
        answers(&fleet, "subnet-a"),
        [Answer::HubVpcsAndEgress],
        "its routes were not seen"
    );
    let nat = fleet.region().nat_gateways.get_mut("nat-a").unwrap();
    nat.route_table = Some(id("rtb-edge"));
    assert_eq!(shared(&fleet, "subnet-a"), ["198.51.100.1/32"]);
    let nat = fleet.region().nat_gateways.get_mut("nat-a").unwrap();
    nat.appliance = Some("appliance proxy-1".into());
    assert_eq!(answers(&fleet, "subnet-a"), [Answer::HubVpcsAndEgress]);
}
