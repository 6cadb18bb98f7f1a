//! Route tables, and where their routes lead.

use credpin_core::estate::{Destination, Target};
use serde_json::json;

use super::{instance, region};

#[test]
fn every_kind_of_route() {
    let opaque = |text: &str| Target::Opaque(text.to_owned());
    let interface = |id: &str| Target::Interface(id.parse().unwrap());
    let instance = instance(
        "running",
        &json!({"NetworkInterfaces": [
            {"NetworkInterfaceId": "eni-0a", "SubnetId": "subnet-0a", "Attachment": {"DeviceIndex": 0}},
        ]}),
    );
    for (route, target) in [
        (json!({"GatewayId": "local"}), Target::Local),
        (json!({"GatewayId": "igw-0a"}), Target::InternetGateway),
        (
            json!({"GatewayId": "vgw-0a"}),
            opaque("virtual private gateway vgw-0a"),
        ),
        (json!({"GatewayId": "vpce-0s3"}), Target::GatewayEndpoint),
        (
            json!({"GatewayId": "vpce-0lb"}),
            opaque("GatewayLoadBalancer endpoint vpce-0lb"),
        ),
        (
            json!({"GatewayId": "vpce-0no"}),
            opaque("endpoint vpce-0no, whose type was not seen"),
        ),
        (json!({"GatewayId": "new-0a"}), opaque("gateway new-0a")),
        (
            json!({"NatGatewayId": "nat-0a"}),
            Target::Nat("nat-0a".parse().unwrap()),
        ),
        (
            json!({"InstanceId": "i-0a", "NetworkInterfaceId": "eni-0x"}),
            interface("eni-0x"),
        ),
        (json!({"InstanceId": "i-0a"}), interface("eni-0a")),
        (json!({"InstanceId": "i-0gone"}), opaque("instance i-0gone")),
        (
            json!({"EgressOnlyInternetGatewayId": "eigw-0a"}),
            Target::EgressOnlyGateway,
        ),
        (
            json!({"TransitGatewayId": "tgw-0a"}),
            opaque("transit gateway tgw-0a"),
        ),
        (
            json!({"VpcPeeringConnectionId": "pcx-0a"}),
            opaque("VPC peering pcx-0a"),
        ),
        (
            json!({"LocalGatewayId": "lgw-0a"}),
            opaque("local gateway lgw-0a"),
        ),
        (
            json!({"CarrierGatewayId": "cagw-0a"}),
            Target::InternetGateway,
        ),
        (
            json!({"CoreNetworkArn": "arn:a"}),
            opaque("core network arn:a"),
        ),
        (
            json!({"OdbNetworkArn": "arn:b"}),
            opaque("ODB network arn:b"),
        ),
        (
            json!({"QuantumGatewayId": "qgw-0a"}),
            opaque("a target of a kind that credpin does not know"),
        ),
    ] {
        let mut whole = route.clone();
        whole["DestinationCidrBlock"] = json!("0.0.0.0/0");
        let (region, gaps) = region(json!({
            "instances": instance,
            "route-tables": {"RouteTables": [{"RouteTableId": "rtb-0a", "VpcId": "vpc-0a", "Routes": [whole]}]},
            "vpc-endpoints": {"VpcEndpoints": [
                {"VpcEndpointId": "vpce-0s3", "VpcEndpointType": "Gateway"},
                {"VpcEndpointId": "vpce-0lb", "VpcEndpointType": "GatewayLoadBalancer"},
            ]},
        }));
        assert!(gaps.is_empty(), "{gaps:?}");
        assert_eq!(
            region.route_tables["rtb-0a"].routes[0].target, target,
            "{route}"
        );
    }
}

#[test]
fn routes_that_carry_traffic_and_what_a_table_serves() {
    let (region, _) = region(json!({"route-tables": {"RouteTables": [{
        "RouteTableId": "rtb-0a",
        "VpcId": "vpc-0a",
        "Routes": [
            {"DestinationPrefixListId": "pl-0a", "GatewayId": "local"},
            {"DestinationIpv6CidrBlock": "::/0", "GatewayId": "igw-0a", "State": "active"},
            {"DestinationCidrBlock": "10.9.0.0/16", "VpcPeeringConnectionId": "pcx-0a", "State": "blackhole"},
        ],
        "Associations": [
            {"Main": true, "AssociationState": {"State": "associated"}},
            {"Main": false, "SubnetId": "subnet-0a", "AssociationState": {"State": "associating"}},
            {"Main": false, "SubnetId": "subnet-0b", "AssociationState": {"State": "disassociated"}},
            {"Main": false, "GatewayId": "igw-0a"},
        ],
    }]}}));
    let table = &region.route_tables["rtb-0a"];
    assert_eq!(table.routes.len(), 2, "a blackhole carries nothing");
    assert_eq!(
        table.routes[0].destination,
        Destination::PrefixList("pl-0a".into())
    );
    assert_eq!(
        table.routes[1].destination,
        Destination::V6("::/0".parse().unwrap())
    );
    assert!(table.main);
    assert_eq!(table.subnets, ["subnet-0a".parse().unwrap()].into());
}

#[test]
fn a_route_to_nowhere_is_a_gap() {
    let (region, gaps) = region(json!({"route-tables": {"RouteTables": [
        {"RouteTableId": "rtb-0a", "VpcId": "vpc-0a", "Routes": [{"GatewayId": "igw-0a"}]},
    ]}}));
    assert!(region.route_tables.is_empty());
    assert_eq!(
        gaps,
        ["DescribeRouteTables in eu-west-1: rtb-0a: Routes: a route has no destination"]
    );
}
