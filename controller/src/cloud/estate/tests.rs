//! Answers as the AWS CLI prints them, and what is made of them.

use std::collections::BTreeMap;

use credpin_core::{
    estate::{InstanceState, Nat, PrivateIpv4, Region},
    footprint,
    settings::Settings,
};
use serde_json::{Value, json};

use super::*;
use crate::cloud::shapes::ec2 as shape;

mod route;

/// The region that `answers` tell of, with the gaps that are left.
fn region(answers: Value) -> (Region, Vec<String>) {
    let mut estate = account(answers);
    let gaps = estate.gaps.iter().map(ToString::to_string).collect();
    (estate.regions.pop_first().unwrap().1, gaps)
}

/// The account with one region, which `answers` tell of. Keys are the CLI's commands without their
/// `describe-`.
fn account(answers: Value) -> Estate {
    let mut answers: BTreeMap<String, Value> = serde_json::from_value(answers).unwrap();
    let mut take = |command: &str, empty: &str| {
        answers
            .remove(command)
            .unwrap_or_else(|| json!({ empty: [] }))
    };
    let seen = shape::Region {
        instances: serde_json::from_value(take("instances", "Reservations")).unwrap(),
        network_interfaces: serde_json::from_value(take("network-interfaces", "NetworkInterfaces"))
            .unwrap(),
        subnets: serde_json::from_value(take("subnets", "Subnets")).unwrap(),
        route_tables: serde_json::from_value(take("route-tables", "RouteTables")).unwrap(),
        nat_gateways: serde_json::from_value(take("nat-gateways", "NatGateways")).unwrap(),
        vpcs: serde_json::from_value(take("vpcs", "Vpcs")).unwrap(),
        vpc_endpoints: serde_json::from_value(take("vpc-endpoints", "VpcEndpoints")).unwrap(),
        addresses: serde_json::from_value(take("addresses", "Addresses")).unwrap(),
    };
    assert!(answers.is_empty(), "no such command: {answers:?}");
    let name: RegionName = "eu-west-1".parse().unwrap();
    let seen = Observation {
        regions: [(name, seen)].into(),
        ..Observation::default()
    };
    estate(&seen)
}

fn instance(state: &str, more: &Value) -> Value {
    let mut instance = json!({
        "InstanceId": "i-0a",
        "State": {"Code": 16, "Name": state},
        "VpcId": "vpc-0a",
        "SubnetId": "subnet-0a",
        "PrivateIpAddress": "10.0.0.5",
        "NetworkInterfaces": [],
    });
    instance
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"Reservations": [{"OwnerId": "123456789012", "Instances": [instance]}]})
}

#[test]
fn instances_of_every_state_but_terminated() {
    for (state, kept) in [
        ("pending", Some(InstanceState::Pending)),
        ("running", Some(InstanceState::Running)),
        ("shutting-down", Some(InstanceState::ShuttingDown)),
        ("stopping", Some(InstanceState::Stopping)),
        ("stopped", Some(InstanceState::Stopped)),
        ("terminated", None),
    ] {
        let (region, gaps) = region(json!({"instances": instance(state, &json!({}))}));
        let found = region.instances.get("i-0a").map(|instance| instance.state);
        assert_eq!((found, gaps.len()), (kept, 0), "{state}");
    }
}

#[test]
fn an_instance_that_went_away_has_no_vpc_and_is_left_out() {
    let gone = json!({"VpcId": null, "SubnetId": null, "PrivateIpAddress": null});
    let (seen, gaps) = region(json!({"instances": instance("shutting-down", &gone)}));
    assert!(seen.instances.is_empty() && gaps.is_empty(), "{gaps:?}");
    // Of one that runs, it is a hole in the view.
    let (_, gaps) = region(json!({"instances": instance("running", &gone)}));
    assert_eq!(
        gaps,
        ["DescribeInstances in eu-west-1: i-0a: VpcId: is missing"]
    );
}

#[test]
fn what_cannot_be_read_is_a_gap_that_names_item_and_field() {
    let (seen, gaps) = region(json!({
        "instances": instance("hibernated", &json!({})),
        "subnets": {"Subnets": [{"SubnetId": "subnet-0a"}, {"VpcId": "vpc-0a"}, {"SubnetId": "subnet-0b", "VpcId": "vpc-0a"}]},
    }));
    assert_eq!(
        gaps,
        [
            "DescribeInstances in eu-west-1: i-0a: State.Name: `hibernated` is not a state of an instance",
            "DescribeSubnets in eu-west-1: an item without an id: SubnetId: is missing",
            "DescribeSubnets in eu-west-1: subnet-0a: VpcId: is missing",
        ]
    );
    assert_eq!(seen.subnets.len(), 1);
}

#[test]
fn interfaces_and_addresses_have_the_primary_one_first() {
    let interface = |id: &str, index: i32, addresses: Value| {
        json!({
            "NetworkInterfaceId": id,
            "SubnetId": "subnet-0a",
            "Attachment": {"DeviceIndex": index, "NetworkCardIndex": 0},
            "PrivateIpAddresses": addresses,
            "Ipv6Addresses": [{"Ipv6Address": "2001:db8::5"}],
            "Ipv4Prefixes": [{"Ipv4Prefix": "10.0.9.0/28"}],
            "Ipv6Prefixes": [{"Ipv6Prefix": "2001:db8:9::/80"}],
        })
    };
    let second = json!([{"PrivateIpAddress": "10.0.1.7", "Primary": true}]);
    let first = json!([
        {"PrivateIpAddress": "10.0.0.6", "Primary": false},
        {"PrivateIpAddress": "10.0.0.5", "Primary": true, "Association": {"PublicIp": "203.0.113.5"}},
    ]);
    let interfaces = json!({"NetworkInterfaces": [interface("eni-0b", 1, second), interface("eni-0a", 0, first)]});
    let (region, gaps) = region(json!({
        "instances": instance("running", &interfaces),
        "addresses": {"Addresses": [
            {"PublicIp": "203.0.113.6", "NetworkInterfaceId": "eni-0a", "PrivateIpAddress": "10.0.0.6"},
            {"PublicIp": "203.0.113.9"},
        ]},
    }));
    assert!(gaps.is_empty(), "{gaps:?}");
    let interfaces = &region.instances["i-0a"].interfaces;
    let ids: Vec<&str> = interfaces
        .iter()
        .map(|interface| interface.id.as_str())
        .collect();
    assert_eq!(ids, ["eni-0a", "eni-0b"]);
    let pair = |private: &str, public: &str| PrivateIpv4 {
        private: private.parse().unwrap(),
        public: Some(public.parse().unwrap()),
    };
    // The second one's elastic address is known from DescribeAddresses alone.
    assert_eq!(
        interfaces[0].ipv4,
        [
            pair("10.0.0.5", "203.0.113.5"),
            pair("10.0.0.6", "203.0.113.6")
        ]
    );
    assert_eq!(
        interfaces[0].ipv6,
        ["2001:db8::5".parse::<std::net::Ipv6Addr>().unwrap()]
    );
    assert_eq!(
        interfaces[0].ipv4_prefixes,
        ["10.0.9.0/28".parse().unwrap()]
    );
    assert_eq!(
        interfaces[0].ipv6_prefixes,
        ["2001:db8:9::/80".parse().unwrap()]
    );
    assert_eq!(region.all_interfaces().count(), 2);
}

#[test]
fn a_carrier_address_is_what_a_host_in_a_wavelength_zone_leaves_by() {
    let interfaces = json!({"NetworkInterfaces": [{
        "NetworkInterfaceId": "eni-0a", "SubnetId": "subnet-0a", "Attachment": {"DeviceIndex": 0},
        "PrivateIpAddresses": [
            {"PrivateIpAddress": "10.0.0.5", "Primary": true, "Association": {"CarrierIp": "203.0.113.5"}},
        ],
    }]});
    let (region, gaps) = region(json!({"instances": instance("running", &interfaces)}));
    assert!(gaps.is_empty(), "{gaps:?}");
    assert_eq!(
        region.instances["i-0a"].interfaces[0].ipv4[0].public,
        Some("203.0.113.5".parse().unwrap())
    );
}

#[test]
fn a_host_in_a_local_zone_leaves_by_its_own_address_or_by_the_nat_gateway_of_its_zone() {
    // Its zone's network border group has a pool of addresses of its own, and nothing else is different
    // (AWS Local Zones User Guide, "How Local Zones work").
    let host = |id: &str, subnet: &str, address: &str| {
        json!({
            "InstanceId": id, "State": {"Code": 16, "Name": "running"}, "VpcId": "vpc-0a", "SubnetId": subnet,
            "PrivateIpAddress": address, "Placement": {"AvailabilityZone": "us-west-2-lax-1a"},
            "IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/web"},
            "NetworkInterfaces": [{
                "NetworkInterfaceId": id.replace('i', "eni"), "SubnetId": subnet, "VpcId": "vpc-0a",
                "Attachment": {"DeviceIndex": 0},
                "PrivateIpAddresses": [{"PrivateIpAddress": address, "Primary": true}],
            }],
        })
    };
    let hosts = [
        host("i-0a", "subnet-0a", "10.0.0.5"),
        host("i-0b", "subnet-0b", "10.0.1.5"),
    ];
    let subnet = |id: &str, cidr: &str| {
        json!({
            "SubnetId": id, "VpcId": "vpc-0a", "CidrBlock": cidr, "AvailabilityZone": "us-west-2-lax-1a",
            "AvailabilityZoneId": "usw2-lax1-az1", "MapPublicIpOnLaunch": false,
        })
    };
    let table = |id: &str, subnet: &str, leads: Value| {
        let mut route = json!({"DestinationCidrBlock": "0.0.0.0/0", "State": "active"});
        route
            .as_object_mut()
            .unwrap()
            .extend(leads.as_object().unwrap().clone());
        json!({"RouteTableId": id, "VpcId": "vpc-0a", "Routes": [route], "Associations": [
            {"SubnetId": subnet, "AssociationState": {"State": "associated"}},
        ]})
    };
    let estate = account(json!({
        "instances": {"Reservations": [{"OwnerId": "123456789012", "Instances": hosts}]},
        "subnets": {"Subnets": [subnet("subnet-0a", "10.0.0.0/24"), subnet("subnet-0b", "10.0.1.0/24")]},
        "route-tables": {"RouteTables": [
            table("rtb-0a", "subnet-0a", json!({"GatewayId": "igw-0a"})),
            table("rtb-0b", "subnet-0b", json!({"NatGatewayId": "nat-0a"})),
        ]},
        "nat-gateways": {"NatGateways": [{
            "NatGatewayId": "nat-0a", "SubnetId": "subnet-0a", "State": "available", "ConnectivityType": "public",
            "NatGatewayAddresses": [{"PublicIp": "198.51.100.1", "PrivateIp": "10.0.0.8", "Status": "succeeded"}],
        }]},
        "addresses": {"Addresses": [{
            "PublicIp": "203.0.113.5", "NetworkInterfaceId": "eni-0a", "PrivateIpAddress": "10.0.0.5",
            "NetworkBorderGroup": "us-west-2-lax-1", "PublicIpv4Pool": "amazon",
        }]},
    }));
    assert_eq!(estate.gaps, [].into());
    let hosts = footprint::hosts(&estate, &Settings::default());
    let public = |id: &str| {
        let host = hosts
            .iter()
            .find(|host| host.instance.as_str() == id)
            .unwrap();
        let public: Vec<String> = host.public.iter().map(ToString::to_string).collect();
        public.join(" ")
    };
    assert_eq!(public("i-0a"), "203.0.113.5/32");
    assert_eq!(public("i-0b"), "198.51.100.1/32");
}

#[test]
fn subnets_with_the_ipv6_prefixes_that_hosts_may_have_addresses_in() {
    let prefix = |prefix: &str, state: &str| json!({"Ipv6CidrBlock": prefix, "Ipv6CidrBlockState": {"State": state}});
    let (region, gaps) = region(json!({"subnets": {"Subnets": [{
        "SubnetId": "subnet-0a", "VpcId": "vpc-0a", "CidrBlock": "10.0.1.0/24",
        "Ipv6CidrBlockAssociationSet": [
            prefix("2001:db8:1::/64", "disassociating"),
            prefix("2001:db8:2::/64", "associated"),
            prefix("2001:db8:3::/64", "disassociated"),
            prefix("2001:db8:4::/64", "failed"),
        ],
    }]}}));
    assert!(gaps.is_empty(), "{gaps:?}");
    let prefixes: Vec<String> = region.subnets["subnet-0a"]
        .ipv6
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(prefixes, ["2001:db8:1::/64", "2001:db8:2::/64"]);
}

#[test]
fn nat_gateways_with_all_of_their_addresses() {
    let (region, gaps) = region(json!({"nat-gateways": {"NatGateways": [
        {"NatGatewayId": "nat-0a", "SubnetId": "subnet-0a", "State": "available", "ConnectivityType": "public",
         "NatGatewayAddresses": [
            {"PublicIp": "198.51.100.1", "PrivateIp": "10.0.0.8", "Status": "succeeded"},
            {"PublicIp": "198.51.100.2", "PrivateIp": "10.0.0.9", "Status": "associating"},
            {"PublicIp": "198.51.100.3", "PrivateIp": "10.0.0.10", "Status": "failed"},
         ]},
        {"NatGatewayId": "nat-0b", "SubnetId": "subnet-0a", "State": "pending", "ConnectivityType": "private",
         "NatGatewayAddresses": [{"PrivateIp": "10.0.0.11"}]},
        {"NatGatewayId": "nat-0c", "State": "available", "AvailabilityMode": "regional",
         "NatGatewayAddresses": [{"PublicIp": "198.51.100.4"}]},
        {"NatGatewayId": "nat-0d", "State": "available", "AvailabilityMode": "regional",
         "AutoScalingIps": "disabled", "AutoProvisionZones": "disabled", "NatGatewayAddresses": []},
        {"NatGatewayId": "nat-0e", "State": "deleted"},
        {"NatGatewayId": "nat-0f", "State": "failed"},
    ]}}));
    assert!(gaps.is_empty(), "{gaps:?}");
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(
        region.nat_gateways["nat-0a"],
        Nat {
            id: "nat-0a".parse().unwrap(),
            subnet: Some("subnet-0a".parse().unwrap()),
            public: true,
            public_ipv4: addresses(&["198.51.100.1", "198.51.100.2"]),
            private_ipv4: addresses(&["10.0.0.8", "10.0.0.9"]),
            grows: false,
            route_table: None,
            appliance: None,
        }
    );
    assert!(!region.nat_gateways["nat-0b"].public);
    assert!(region.nat_gateways["nat-0c"].grows);
    assert!(!region.nat_gateways["nat-0d"].grows);
    assert_eq!(region.nat_gateways.len(), 4);
}

#[test]
fn a_nat_gateway_tells_its_route_table_and_the_appliance_that_filters_it() {
    let nat = |more: Value| {
        let mut nat = json!({"NatGatewayId": "nat-0a", "State": "available"});
        nat.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let (region, gaps) = region(json!({"nat-gateways": {"NatGateways": [nat]}}));
        assert!(gaps.is_empty(), "{gaps:?}");
        region.nat_gateways["nat-0a"].clone()
    };
    assert_eq!(
        nat(json!({"RouteTableId": "rtb-0a"})).route_table,
        Some("rtb-0a".parse().unwrap())
    );
    let filtered = |appliance: Value| nat(json!({"AttachedAppliances": [appliance]})).appliance;
    for (appliance, text) in [
        (
            json!({"ApplianceArn": "arn:proxy", "VpcEndpointId": "vpce-0a", "AttachmentState": "attached"}),
            Some("appliance arn:proxy"),
        ),
        (
            json!({"VpcEndpointId": "vpce-0a", "AttachmentState": "detaching"}),
            Some("appliance vpce-0a"),
        ),
        (json!({}), Some("an appliance")),
        (
            json!({"ApplianceArn": "arn:proxy", "AttachmentState": "detached"}),
            None,
        ),
    ] {
        assert_eq!(filtered(appliance.clone()).as_deref(), text, "{appliance}");
    }
}

#[test]
fn an_interface_is_in_its_own_vpc_and_by_default_in_its_instances() {
    let interfaces = json!({"NetworkInterfaces": [
        {"NetworkInterfaceId": "eni-0a", "SubnetId": "subnet-0a", "Attachment": {"DeviceIndex": 0}},
        {"NetworkInterfaceId": "eni-0b", "SubnetId": "subnet-0b", "VpcId": "vpc-0b", "Attachment": {"DeviceIndex": 1}},
    ]});
    let (seen, gaps) = region(json!({"instances": instance("running", &interfaces)}));
    assert!(gaps.is_empty(), "{gaps:?}");
    let vpcs: Vec<&str> = seen.instances["i-0a"]
        .interfaces
        .iter()
        .map(|interface| interface.vpc.as_str())
        .collect();
    assert_eq!(vpcs, ["vpc-0a", "vpc-0b"]);

    let stray =
        json!({"NetworkInterfaces": [{"NetworkInterfaceId": "eni-0c", "SubnetId": "subnet-0c"}]});
    let (_, gaps) = region(json!({"network-interfaces": stray}));
    assert_eq!(
        gaps,
        ["DescribeNetworkInterfaces in eu-west-1: eni-0c: VpcId: is missing"]
    );
}

#[test]
fn only_policies_right_under_our_path_are_ours() {
    let policy = |path: &str, name: &str| {
        json!({"Path": path, "Arn": format!("arn:aws:iam::123456789012:policy{path}{name}"), "PolicyVersionList": [
            {"VersionId": "v10", "IsDefaultVersion": true, "Document": {"Version": "2012-10-17"}},
            {"VersionId": "v9", "IsDefaultVersion": false},
        ]})
    };
    let details = json!({"RoleDetailList": [], "Policies": [
        policy("/credpin/", "credpin-web"), policy("/", "credpin-api"), policy("/credpin/old/", "credpin-job"),
    ]});
    let mut seen = Observation::default();
    seen.iam.details = serde_json::from_value(details).unwrap();
    let estate = estate(&seen);
    let policies: Vec<&str> = estate
        .policies
        .keys()
        .map(credpin_core::id::PolicyName::as_str)
        .collect();
    assert_eq!(policies, ["credpin-web"]);
    let web = &estate.policies["credpin-web"];
    let ids: Vec<&str> = web
        .versions
        .iter()
        .map(|version| version.id.as_str())
        .collect();
    assert_eq!(ids, ["v9", "v10"], "oldest first, by number");
    assert_eq!(web.in_force().unwrap().id.as_str(), "v10");
    assert!(!web.released);
}
