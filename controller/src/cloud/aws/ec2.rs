//! EC2's API, read into the shapes of the AWS CLI.

use aws_sdk_ec2::{Client, types as api};
use credpin_core::id::{IdError, RegionName};

use super::{Failed, PAGE, note, why};
use crate::cloud::shapes::ec2::{
    Address, Association, AssociationState, AttachedAppliance, Attachment, DescribeAddresses,
    DescribeInstances, DescribeNatGateways, DescribeNetworkInterfaces, DescribeRouteTables,
    DescribeSubnets, DescribeVpcEndpoints, DescribeVpcs, Instance, InstanceProfile, InstanceState,
    Ipv4Prefix, Ipv6Address, Ipv6Prefix, NatGateway, NatGatewayAddress, NetworkInterface,
    PrivateIpAddress, Region, Reservation, Route, RouteTable, RouteTableAssociation, Subnet,
    SubnetIpv6Prefix, SubnetIpv6PrefixState, Vpc, VpcEndpoint,
};

/// `DescribeRouteTables` gives a hundred at once at most (EC2 API reference).
const ROUTE_TABLES_PAGE: i32 = 100;

/// Regions that are enabled for the account.
pub(super) async fn enabled_regions(client: &Client) -> Result<Vec<RegionName>, String> {
    let answer = client
        .describe_regions()
        .send()
        .await
        .map_err(|error| why(&error))?;
    let names: Vec<RegionName> = answer
        .regions()
        .iter()
        .filter_map(api::Region::region_name)
        .map(|name| name.parse().map_err(|error: IdError| error.to_string()))
        .collect::<Result<_, _>>()?;
    // Every account has some: to look nowhere and find no host would be a partial view.
    if names.is_empty() {
        return Err("it named no region".into());
    }
    Ok(names)
}

/// All that is seen of a region, with the calls that did not answer to the end. The calls go out
/// side by side.
pub(super) async fn region(client: &Client) -> (Region, Vec<Failed>) {
    let mut region = Region::default();
    let Region {
        instances,
        network_interfaces,
        subnets,
        route_tables,
        nat_gateways,
        vpcs,
        vpc_endpoints,
        addresses,
    } = &mut region;
    let results = tokio::join!(
        async {
            let all = &mut instances.reservations;
            // An account can have instances that AWS services manage left out unless asked for.
            let call = client.describe_instances().include_managed_resources(true);
            pages!(call.max_results(PAGE), |page| {
                all.extend(page.reservations.into_iter().flatten().map(reservation));
            })
        },
        async {
            let all = &mut network_interfaces.network_interfaces;
            let call = client
                .describe_network_interfaces()
                .include_managed_resources(true);
            pages!(call.max_results(PAGE), |page| {
                all.extend(page.network_interfaces.into_iter().flatten().map(interface));
            })
        },
        async {
            let all = &mut subnets.subnets;
            pages!(client.describe_subnets().max_results(PAGE), |page| {
                all.extend(page.subnets.into_iter().flatten().map(subnet));
            })
        },
        async {
            let all = &mut route_tables.route_tables;
            pages!(
                client
                    .describe_route_tables()
                    .max_results(ROUTE_TABLES_PAGE),
                |page| {
                    all.extend(page.route_tables.into_iter().flatten().map(route_table));
                }
            )
        },
        async {
            let all = &mut nat_gateways.nat_gateways;
            pages!(client.describe_nat_gateways().max_results(PAGE), |page| {
                all.extend(page.nat_gateways.into_iter().flatten().map(nat_gateway));
            })
        },
        async {
            let all = &mut vpcs.vpcs;
            pages!(client.describe_vpcs().max_results(PAGE), |page| {
                all.extend(page.vpcs.into_iter().flatten().map(vpc));
            })
        },
        async {
            let all = &mut vpc_endpoints.vpc_endpoints;
            pages!(client.describe_vpc_endpoints().max_results(PAGE), |page| {
                all.extend(page.vpc_endpoints.into_iter().flatten().map(vpc_endpoint));
            })
        },
        async {
            // Has no pages: all addresses come at once.
            let answer = client
                .describe_addresses()
                .send()
                .await
                .map_err(|error| why(&error))?;
            addresses.addresses = answer
                .addresses
                .into_iter()
                .flatten()
                .map(address)
                .collect();
            Ok(())
        },
    );
    let mut failed = Vec::new();
    note::<DescribeInstances>(results.0, &mut failed);
    note::<DescribeNetworkInterfaces>(results.1, &mut failed);
    note::<DescribeSubnets>(results.2, &mut failed);
    note::<DescribeRouteTables>(results.3, &mut failed);
    note::<DescribeNatGateways>(results.4, &mut failed);
    note::<DescribeVpcs>(results.5, &mut failed);
    note::<DescribeVpcEndpoints>(results.6, &mut failed);
    note::<DescribeAddresses>(results.7, &mut failed);
    (region, failed)
}

fn reservation(from: api::Reservation) -> Reservation {
    Reservation {
        owner_id: from.owner_id,
        instances: from.instances.into_iter().flatten().map(instance).collect(),
    }
}

fn instance(from: api::Instance) -> Instance {
    Instance {
        instance_id: from.instance_id,
        state: InstanceState {
            name: from
                .state
                .and_then(|state| state.name)
                .map(|name| name.as_str().to_owned()),
        },
        iam_instance_profile: from.iam_instance_profile.map(|profile| InstanceProfile {
            arn: profile.arn,
            id: profile.id,
        }),
        vpc_id: from.vpc_id,
        subnet_id: from.subnet_id,
        private_ip_address: from.private_ip_address,
        network_interfaces: from
            .network_interfaces
            .into_iter()
            .flatten()
            .map(instance_interface)
            .collect(),
    }
}

/// An interface in either of EC2's two types for it, which differ in what they say of the attachment.
macro_rules! interface {
    ($from:ident, attached_to: $instance_id:expr) => {
        NetworkInterface {
            network_interface_id: $from.network_interface_id,
            subnet_id: $from.subnet_id,
            vpc_id: $from.vpc_id,
            attachment: $from.attachment.map(|attachment| Attachment {
                device_index: attachment.device_index.unwrap_or_default(),
                network_card_index: attachment.network_card_index.unwrap_or_default(),
                instance_id: $instance_id(attachment),
            }),
            private_ip_address: $from.private_ip_address,
            private_ip_addresses: $from
                .private_ip_addresses
                .into_iter()
                .flatten()
                .map(|address| PrivateIpAddress {
                    private_ip_address: address.private_ip_address,
                    primary: address.primary.unwrap_or_default(),
                    association: address.association.map(|it| Association {
                        public_ip: it.public_ip,
                        carrier_ip: it.carrier_ip,
                    }),
                })
                .collect(),
            association: $from.association.map(|it| Association {
                public_ip: it.public_ip,
                carrier_ip: it.carrier_ip,
            }),
            ipv6_addresses: $from
                .ipv6_addresses
                .into_iter()
                .flatten()
                .map(|address| Ipv6Address {
                    ipv6_address: address.ipv6_address,
                })
                .collect(),
            ipv4_prefixes: $from
                .ipv4_prefixes
                .into_iter()
                .flatten()
                .map(|prefix| Ipv4Prefix {
                    ipv4_prefix: prefix.ipv4_prefix,
                })
                .collect(),
            ipv6_prefixes: $from
                .ipv6_prefixes
                .into_iter()
                .flatten()
                .map(|prefix| Ipv6Prefix {
                    ipv6_prefix: prefix.ipv6_prefix,
                })
                .collect(),
        }
    };
}

fn instance_interface(from: api::InstanceNetworkInterface) -> NetworkInterface {
    interface!(from, attached_to: |_: api::InstanceNetworkInterfaceAttachment| None)
}

fn interface(from: api::NetworkInterface) -> NetworkInterface {
    interface!(from, attached_to: |attachment: api::NetworkInterfaceAttachment| attachment.instance_id)
}

fn subnet(from: api::Subnet) -> Subnet {
    Subnet {
        subnet_id: from.subnet_id,
        vpc_id: from.vpc_id,
        owner_id: from.owner_id,
        cidr_block: from.cidr_block,
        ipv6_cidr_block_association_set: from
            .ipv6_cidr_block_association_set
            .into_iter()
            .flatten()
            .map(|prefix| SubnetIpv6Prefix {
                ipv6_cidr_block: prefix.ipv6_cidr_block,
                ipv6_cidr_block_state: prefix.ipv6_cidr_block_state.map(|it| {
                    let state = it.state.map(|state| state.as_str().to_owned());
                    SubnetIpv6PrefixState { state }
                }),
            })
            .collect(),
        map_public_ip_on_launch: from.map_public_ip_on_launch.unwrap_or_default(),
        assign_ipv6_address_on_creation: from.assign_ipv6_address_on_creation.unwrap_or_default(),
    }
}

fn route_table(from: api::RouteTable) -> RouteTable {
    RouteTable {
        route_table_id: from.route_table_id,
        vpc_id: from.vpc_id,
        associations: from
            .associations
            .into_iter()
            .flatten()
            .map(association)
            .collect(),
        routes: from.routes.into_iter().flatten().map(route).collect(),
    }
}

fn association(from: api::RouteTableAssociation) -> RouteTableAssociation {
    RouteTableAssociation {
        main: from.main.unwrap_or_default(),
        subnet_id: from.subnet_id,
        gateway_id: from.gateway_id,
        association_state: from.association_state.map(|state| AssociationState {
            state: state.state.map(|state| state.as_str().to_owned()),
        }),
    }
}

fn route(from: api::Route) -> Route {
    Route {
        destination_cidr_block: from.destination_cidr_block,
        destination_ipv6_cidr_block: from.destination_ipv6_cidr_block,
        destination_prefix_list_id: from.destination_prefix_list_id,
        gateway_id: from.gateway_id,
        nat_gateway_id: from.nat_gateway_id,
        network_interface_id: from.network_interface_id,
        instance_id: from.instance_id,
        egress_only_internet_gateway_id: from.egress_only_internet_gateway_id,
        transit_gateway_id: from.transit_gateway_id,
        vpc_peering_connection_id: from.vpc_peering_connection_id,
        local_gateway_id: from.local_gateway_id,
        carrier_gateway_id: from.carrier_gateway_id,
        core_network_arn: from.core_network_arn,
        odb_network_arn: from.odb_network_arn,
        state: from.state.map(|state| state.as_str().to_owned()),
    }
}

fn nat_gateway(from: api::NatGateway) -> NatGateway {
    NatGateway {
        nat_gateway_id: from.nat_gateway_id,
        vpc_id: from.vpc_id,
        subnet_id: from.subnet_id,
        state: from.state.map(|state| state.as_str().to_owned()),
        connectivity_type: from.connectivity_type.map(|kind| kind.as_str().to_owned()),
        availability_mode: from.availability_mode.map(|mode| mode.as_str().to_owned()),
        auto_scaling_ips: from.auto_scaling_ips.map(|state| state.as_str().to_owned()),
        auto_provision_zones: from
            .auto_provision_zones
            .map(|state| state.as_str().to_owned()),
        nat_gateway_addresses: from
            .nat_gateway_addresses
            .into_iter()
            .flatten()
            .map(|address| NatGatewayAddress {
                public_ip: address.public_ip,
                private_ip: address.private_ip,
                network_interface_id: address.network_interface_id,
                status: address.status.map(|status| status.as_str().to_owned()),
            })
            .collect(),
        attached_appliances: from
            .attached_appliances
            .into_iter()
            .flatten()
            .map(|appliance| AttachedAppliance {
                appliance_arn: appliance.appliance_arn,
                vpc_endpoint_id: appliance.vpc_endpoint_id,
                attachment_state: appliance
                    .attachment_state
                    .map(|state| state.as_str().to_owned()),
            })
            .collect(),
        route_table_id: from.route_table_id,
    }
}

fn vpc(from: api::Vpc) -> Vpc {
    Vpc {
        vpc_id: from.vpc_id,
        owner_id: from.owner_id,
        cidr_block: from.cidr_block,
    }
}

fn vpc_endpoint(from: api::VpcEndpoint) -> VpcEndpoint {
    VpcEndpoint {
        vpc_endpoint_id: from.vpc_endpoint_id,
        vpc_endpoint_type: from.vpc_endpoint_type.map(|kind| kind.as_str().to_owned()),
        vpc_id: from.vpc_id,
        service_name: from.service_name,
        state: from.state.map(|state| state.as_str().to_owned()),
        route_table_ids: from.route_table_ids.unwrap_or_default(),
        subnet_ids: from.subnet_ids.unwrap_or_default(),
    }
}

fn address(from: api::Address) -> Address {
    Address {
        public_ip: from.public_ip,
        allocation_id: from.allocation_id,
        instance_id: from.instance_id,
        network_interface_id: from.network_interface_id,
        private_ip_address: from.private_ip_address,
    }
}
