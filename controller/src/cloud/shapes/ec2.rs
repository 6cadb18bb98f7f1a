//! EC2's answers, for one region.

use serde::{Deserialize, Serialize};

answers! {
    /// `aws ec2 describe-instances`
    DescribeInstances { reservations: Vec<Reservation> } = "DescribeInstances", "ec2" "describe-instances" "--include-managed-resources";
    /// `aws ec2 describe-network-interfaces`
    DescribeNetworkInterfaces { network_interfaces: Vec<NetworkInterface> } = "DescribeNetworkInterfaces", "ec2" "describe-network-interfaces" "--include-managed-resources";
    /// `aws ec2 describe-subnets`
    DescribeSubnets { subnets: Vec<Subnet> } = "DescribeSubnets", "ec2" "describe-subnets";
    /// `aws ec2 describe-route-tables`
    DescribeRouteTables { route_tables: Vec<RouteTable> } = "DescribeRouteTables", "ec2" "describe-route-tables";
    /// `aws ec2 describe-nat-gateways`
    DescribeNatGateways { nat_gateways: Vec<NatGateway> } = "DescribeNatGateways", "ec2" "describe-nat-gateways";
    /// `aws ec2 describe-vpcs`
    DescribeVpcs { vpcs: Vec<Vpc> } = "DescribeVpcs", "ec2" "describe-vpcs";
    /// `aws ec2 describe-vpc-endpoints`
    DescribeVpcEndpoints { vpc_endpoints: Vec<VpcEndpoint> } = "DescribeVpcEndpoints", "ec2" "describe-vpc-endpoints";
    /// `aws ec2 describe-addresses`
    DescribeAddresses { addresses: Vec<Address> } = "DescribeAddresses", "ec2" "describe-addresses";
}

/// Instances that were launched together. Without its list it is not read: hosts would be missing
/// unseen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(
    missing_docs,
    reason = "fields are AWS's own, described in its API reference"
)]
pub struct Reservation {
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub owner_id: Option<String>,
    pub instances: Vec<Instance>,
}

shapes! {
    /// An instance.
    Instance {
        instance_id: Option<String>,
        state: InstanceState,
        iam_instance_profile: Option<InstanceProfile>,
        vpc_id: Option<String>,
        subnet_id: Option<String>,
        private_ip_address: Option<String>,
        network_interfaces: Vec<NetworkInterface>,
    }
    /// Its lifecycle state.
    InstanceState { name: Option<String> }
    /// The profile that it was given.
    InstanceProfile { arn: Option<String>, id: Option<String> }

    /// An interface, in an instance's description or in its own.
    NetworkInterface {
        network_interface_id: Option<String>,
        subnet_id: Option<String>,
        vpc_id: Option<String>,
        attachment: Option<Attachment>,
        private_ip_address: Option<String>,
        private_ip_addresses: Vec<PrivateIpAddress>,
        association: Option<Association>,
        ipv6_addresses: Vec<Ipv6Address>,
        ipv4_prefixes: Vec<Ipv4Prefix>,
        ipv6_prefixes: Vec<Ipv6Prefix>,
    }
    /// What an interface is attached to, and as its which one.
    Attachment { instance_id: Option<String>, device_index: i32, network_card_index: i32 }
    /// A private IPv4 address of an interface.
    PrivateIpAddress {
        private_ip_address: Option<String>,
        primary: bool,
        association: Option<Association>,
    }
    /// The public address that a private one is mapped to.
    Association { public_ip: Option<String>, carrier_ip: Option<String> }
    /// An IPv6 address of an interface.
    Ipv6Address { ipv6_address: Option<String> }
    /// An IPv4 prefix delegated to an interface.
    Ipv4Prefix { ipv4_prefix: Option<String> }
    /// An IPv6 prefix delegated to an interface.
    Ipv6Prefix { ipv6_prefix: Option<String> }

    /// A subnet.
    Subnet {
        subnet_id: Option<String>,
        vpc_id: Option<String>,
        owner_id: Option<String>,
        cidr_block: Option<String>,
        ipv6_cidr_block_association_set: Vec<SubnetIpv6Prefix>,
        map_public_ip_on_launch: bool,
        assign_ipv6_address_on_creation: bool,
    }

    /// An IPv6 prefix of a subnet.
    SubnetIpv6Prefix {
        ipv6_cidr_block: Option<String>,
        ipv6_cidr_block_state: Option<SubnetIpv6PrefixState>,
    }
    /// Whether a subnet has the prefix.
    SubnetIpv6PrefixState { state: Option<String> }

    /// A route table.
    RouteTable {
        route_table_id: Option<String>,
        vpc_id: Option<String>,
        associations: Vec<RouteTableAssociation>,
        routes: Vec<Route>,
    }
    /// What a route table serves: the VPC (`main`), a subnet, or a gateway.
    RouteTableAssociation {
        main: bool,
        subnet_id: Option<String>,
        gateway_id: Option<String>,
        association_state: Option<AssociationState>,
    }
    /// Whether an association holds.
    AssociationState { state: Option<String> }
    /// A route: one destination, one target.
    Route {
        destination_cidr_block: Option<String>,
        destination_ipv6_cidr_block: Option<String>,
        destination_prefix_list_id: Option<String>,
        gateway_id: Option<String>,
        nat_gateway_id: Option<String>,
        network_interface_id: Option<String>,
        instance_id: Option<String>,
        egress_only_internet_gateway_id: Option<String>,
        transit_gateway_id: Option<String>,
        vpc_peering_connection_id: Option<String>,
        local_gateway_id: Option<String>,
        carrier_gateway_id: Option<String>,
        core_network_arn: Option<String>,
        odb_network_arn: Option<String>,
        state: Option<String>,
    }

    /// A NAT gateway.
    NatGateway {
        nat_gateway_id: Option<String>,
        vpc_id: Option<String>,
        subnet_id: Option<String>,
        state: Option<String>,
        connectivity_type: Option<String>,
        availability_mode: Option<String>,
        auto_scaling_ips: Option<String>,
        auto_provision_zones: Option<String>,
        nat_gateway_addresses: Vec<NatGatewayAddress>,
        attached_appliances: Vec<AttachedAppliance>,
        route_table_id: Option<String>,
    }
    /// An address of a NAT gateway.
    NatGatewayAddress {
        public_ip: Option<String>,
        private_ip: Option<String>,
        network_interface_id: Option<String>,
        status: Option<String>,
    }
    /// What filters the traffic of a NAT gateway.
    AttachedAppliance {
        appliance_arn: Option<String>,
        vpc_endpoint_id: Option<String>,
        attachment_state: Option<String>,
    }

    /// A VPC.
    Vpc { vpc_id: Option<String>, owner_id: Option<String>, cidr_block: Option<String> }

    /// A VPC endpoint.
    VpcEndpoint {
        vpc_endpoint_id: Option<String>,
        vpc_endpoint_type: Option<String>,
        vpc_id: Option<String>,
        service_name: Option<String>,
        state: Option<String>,
        route_table_ids: Vec<String>,
        subnet_ids: Vec<String>,
    }

    /// An elastic address.
    Address {
        public_ip: Option<String>,
        allocation_id: Option<String>,
        instance_id: Option<String>,
        network_interface_id: Option<String>,
        private_ip_address: Option<String>,
    }
}

/// All of a region's answers.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "each field is the answer that its type names")]
pub struct Region {
    pub instances: DescribeInstances,
    pub network_interfaces: DescribeNetworkInterfaces,
    pub subnets: DescribeSubnets,
    pub route_tables: DescribeRouteTables,
    pub nat_gateways: DescribeNatGateways,
    pub vpcs: DescribeVpcs,
    pub vpc_endpoints: DescribeVpcEndpoints,
    pub addresses: DescribeAddresses,
}
