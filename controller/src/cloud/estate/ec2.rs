//! A region: hosts, their interfaces, and the ways that traffic takes.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use credpin_core::{
    estate::{
        Destination, Instance, InstanceState, Interface, Nat, PrivateIpv4, Region, Route,
        RouteTable, Subnet, Target,
    },
    id::{AccountId, InstanceId},
};

use super::{
    Sorter,
    field::{FieldError, optional, required},
};
use crate::cloud::shapes::ec2 as shape;

/// Elastic addresses by interface and private address.
type Elastic<'a> = BTreeMap<(&'a str, &'a str), &'a str>;

pub(super) fn read(seen: &shape::Region, sorter: &mut Sorter<'_>) -> Region {
    let elastic = elastic(&seen.addresses);
    let instances: BTreeMap<_, _> = sorter
        .each::<shape::DescribeInstances, _, _>(
            seen.instances
                .reservations
                .iter()
                .flat_map(|reservation| &reservation.instances),
            |shape| shape.instance_id.as_deref(),
            |shape| instance(shape, &elastic),
        )
        .into_iter()
        .map(|instance| (instance.id.clone(), instance))
        .collect();
    // An instance's own description of its interfaces comes last: it is what its pin is made of.
    let interfaces = sorter
        .each::<shape::DescribeNetworkInterfaces, _, _>(
            &seen.network_interfaces.network_interfaces,
            |shape| shape.network_interface_id.as_deref(),
            |shape| interface(shape, &elastic).map(Some),
        )
        .into_iter()
        .chain(
            instances
                .values()
                .flat_map(|instance| instance.interfaces.iter().cloned()),
        )
        .map(|interface| (interface.id.clone(), interface))
        .collect();
    Region {
        interfaces,
        subnets: sorter
            .each::<shape::DescribeSubnets, _, _>(
                &seen.subnets.subnets,
                |shape| shape.subnet_id.as_deref(),
                |shape| subnet(shape).map(Some),
            )
            .into_iter()
            .map(|subnet| (subnet.id.clone(), subnet))
            .collect(),
        route_tables: sorter
            .each::<shape::DescribeRouteTables, _, _>(
                &seen.route_tables.route_tables,
                |shape| shape.route_table_id.as_deref(),
                |shape| route_table(shape, &instances).map(Some),
            )
            .into_iter()
            .map(|table| (table.id.clone(), table))
            .collect(),
        nat_gateways: sorter
            .each::<shape::DescribeNatGateways, _, _>(
                &seen.nat_gateways.nat_gateways,
                |shape| shape.nat_gateway_id.as_deref(),
                nat,
            )
            .into_iter()
            .map(|nat| (nat.id.clone(), nat))
            .collect(),
        instances,
    }
}

/// The account that reservations say they belong to.
pub(super) fn owner<'a>(regions: impl IntoIterator<Item = &'a shape::Region>) -> Option<AccountId> {
    regions
        .into_iter()
        .flat_map(|region| &region.instances.reservations)
        .find_map(|reservation| reservation.owner_id.as_deref()?.parse().ok())
}

fn elastic(answer: &shape::DescribeAddresses) -> Elastic<'_> {
    answer
        .addresses
        .iter()
        .filter_map(|address| {
            let interface = address.network_interface_id.as_deref()?;
            let private = address.private_ip_address.as_deref()?;
            Some(((interface, private), address.public_ip.as_deref()?))
        })
        .collect()
}

fn instance(
    shape: &shape::Instance,
    elastic: &Elastic<'_>,
) -> Result<Option<Instance>, FieldError> {
    let state = match shape.state.name.as_deref() {
        Some("pending") => InstanceState::Pending,
        Some("running") => InstanceState::Running,
        Some("shutting-down") => InstanceState::ShuttingDown,
        Some("stopping") => InstanceState::Stopping,
        Some("stopped") => InstanceState::Stopped,
        Some("terminated") => return Ok(None),
        Some(other) => {
            return Err(FieldError::new(
                "State.Name",
                format_args!("`{other}` is not a state of an instance"),
            ));
        }
        None => return Err(FieldError::new("State.Name", "is missing")),
    };
    // On its way out it has already lost its interfaces: nothing on it can call any more.
    if state == InstanceState::ShuttingDown && shape.vpc_id.is_none() {
        return Ok(None);
    }
    let mut interfaces: Vec<&shape::NetworkInterface> = shape.network_interfaces.iter().collect();
    interfaces.sort_by_key(|interface| {
        interface
            .attachment
            .as_ref()
            .map(|attachment| (attachment.network_card_index, attachment.device_index))
    });
    Ok(Some(Instance {
        id: required("InstanceId", shape.instance_id.as_ref())?,
        state,
        profile: optional(
            "IamInstanceProfile.Arn",
            shape
                .iam_instance_profile
                .as_ref()
                .and_then(|profile| profile.arn.as_ref()),
        )?,
        vpc: required("VpcId", shape.vpc_id.as_ref())?,
        subnet: required("SubnetId", shape.subnet_id.as_ref())?,
        primary_ipv4: optional("PrivateIpAddress", shape.private_ip_address.as_ref())?,
        interfaces: interfaces
            .into_iter()
            .map(|shape| interface(shape, elastic))
            .collect::<Result<_, _>>()?,
    }))
}

fn interface(
    shape: &shape::NetworkInterface,
    elastic: &Elastic<'_>,
) -> Result<Interface, FieldError> {
    let mut ipv4: Vec<(bool, PrivateIpv4)> = shape
        .private_ip_addresses
        .iter()
        .map(|address| Ok((address.primary, private_ipv4(shape, address, elastic)?)))
        .collect::<Result<_, FieldError>>()?;
    ipv4.sort_by_key(|(primary, _)| !primary);
    Ok(Interface {
        id: required("NetworkInterfaceId", shape.network_interface_id.as_ref())?,
        subnet: required("SubnetId", shape.subnet_id.as_ref())?,
        ipv4: ipv4.into_iter().map(|(_, address)| address).collect(),
        ipv6: shape
            .ipv6_addresses
            .iter()
            .map(|address| {
                required::<Ipv6Addr>("Ipv6Addresses.Ipv6Address", address.ipv6_address.as_ref())
            })
            .collect::<Result<_, _>>()?,
        ipv4_prefixes: shape
            .ipv4_prefixes
            .iter()
            .map(|prefix| required("Ipv4Prefixes.Ipv4Prefix", prefix.ipv4_prefix.as_ref()))
            .collect::<Result<_, _>>()?,
        ipv6_prefixes: shape
            .ipv6_prefixes
            .iter()
            .map(|prefix| required("Ipv6Prefixes.Ipv6Prefix", prefix.ipv6_prefix.as_ref()))
            .collect::<Result<_, _>>()?,
    })
}

fn private_ipv4(
    interface: &shape::NetworkInterface,
    address: &shape::PrivateIpAddress,
    elastic: &Elastic<'_>,
) -> Result<PrivateIpv4, FieldError> {
    let mapped = address
        .association
        .as_ref()
        .and_then(|association| association.public_ip.as_ref());
    let mut public: Option<Ipv4Addr> = optional("PrivateIpAddresses.Association.PublicIp", mapped)?;
    // An elastic address may have been associated after the interface was described.
    if public.is_none()
        && let (Some(id), Some(private)) =
            (&interface.network_interface_id, &address.private_ip_address)
        && let Some(text) = elastic.get(&(id.as_str(), private.as_str()))
    {
        public = Some(text.parse().map_err(|error| {
            FieldError::new("Addresses.PublicIp", format_args!("`{text}`: {error}"))
        })?);
    }
    Ok(PrivateIpv4 {
        private: required(
            "PrivateIpAddresses.PrivateIpAddress",
            address.private_ip_address.as_ref(),
        )?,
        public,
    })
}

fn subnet(shape: &shape::Subnet) -> Result<Subnet, FieldError> {
    Ok(Subnet {
        id: required("SubnetId", shape.subnet_id.as_ref())?,
        vpc: required("VpcId", shape.vpc_id.as_ref())?,
        maps_public_ipv4: shape.map_public_ip_on_launch,
        assigns_ipv6: shape.assign_ipv6_address_on_creation,
    })
}

fn route_table(
    shape: &shape::RouteTable,
    instances: &BTreeMap<InstanceId, Instance>,
) -> Result<RouteTable, FieldError> {
    // While it is being taken away an association may still carry traffic; when it failed, not.
    let holds = |association: &&shape::RouteTableAssociation| {
        let state = association
            .association_state
            .as_ref()
            .and_then(|state| state.state.as_deref());
        !matches!(state, Some("disassociated" | "failed"))
    };
    let associations = || shape.associations.iter().filter(holds);
    Ok(RouteTable {
        id: required("RouteTableId", shape.route_table_id.as_ref())?,
        vpc: required("VpcId", shape.vpc_id.as_ref())?,
        main: associations().any(|association| association.main),
        subnets: associations()
            .filter(|association| association.subnet_id.is_some())
            .map(|association| required("Associations.SubnetId", association.subnet_id.as_ref()))
            .collect::<Result<_, _>>()?,
        routes: shape
            .routes
            .iter()
            // A blackhole carries nothing. The AWS CLI always prints a state; some mocks do not.
            .filter(|route| matches!(route.state.as_deref(), None | Some("active")))
            .map(|route| {
                Ok(Route {
                    destination: destination(route)?,
                    target: target(route, instances)?,
                })
            })
            .collect::<Result<_, FieldError>>()?,
    })
}

fn destination(route: &shape::Route) -> Result<Destination, FieldError> {
    let v4 = optional(
        "Routes.DestinationCidrBlock",
        route.destination_cidr_block.as_ref(),
    )?;
    let v6 = optional(
        "Routes.DestinationIpv6CidrBlock",
        route.destination_ipv6_cidr_block.as_ref(),
    )?;
    match (v4, v6, &route.destination_prefix_list_id) {
        (Some(net), ..) => Ok(Destination::V4(net)),
        (None, Some(net), _) => Ok(Destination::V6(net)),
        (None, None, Some(list)) => Ok(Destination::PrefixList(list.clone())),
        (None, None, None) => Err(FieldError::new("Routes", "a route has no destination")),
    }
}

/// Source of the fields and of how they go together: EC2 API reference, `Route`.
fn target(
    route: &shape::Route,
    instances: &BTreeMap<InstanceId, Instance>,
) -> Result<Target, FieldError> {
    if let Some(gateway) = route.gateway_id.as_deref() {
        return Ok(match gateway.split_once('-') {
            None if gateway == "local" => Target::Local,
            Some(("igw", _)) => Target::InternetGateway,
            Some(("vgw", _)) => Target::Opaque(format!("virtual private gateway {gateway}")),
            // The same kind of id serves two things: to a prefix list it is S3 or DynamoDB in this
            // VPC, to a CIDR it is a gateway load balancer with appliances behind it.
            Some(("vpce", _)) if route.destination_prefix_list_id.is_some() => {
                Target::GatewayEndpoint
            }
            Some(("vpce", _)) => {
                Target::Opaque(format!("gateway load balancer endpoint {gateway}"))
            }
            _ => Target::Opaque(format!("gateway {gateway}")),
        });
    }
    if let Some(nat) = optional("Routes.NatGatewayId", route.nat_gateway_id.as_ref())? {
        return Ok(Target::Nat(nat));
    }
    if let Some(interface) = optional(
        "Routes.NetworkInterfaceId",
        route.network_interface_id.as_ref(),
    )? {
        return Ok(Target::Interface(interface));
    }
    if let Some(id) = optional::<InstanceId>("Routes.InstanceId", route.instance_id.as_ref())? {
        let primary = instances
            .get(&id)
            .and_then(|instance| instance.interfaces.first());
        return Ok(match primary {
            Some(interface) => Target::Interface(interface.id.clone()),
            None => Target::Opaque(format!("instance {id}")),
        });
    }
    if route.egress_only_internet_gateway_id.is_some() {
        return Ok(Target::EgressOnlyGateway);
    }
    let opaque = [
        ("transit gateway", &route.transit_gateway_id),
        ("VPC peering", &route.vpc_peering_connection_id),
        ("local gateway", &route.local_gateway_id),
        ("carrier gateway", &route.carrier_gateway_id),
        ("core network", &route.core_network_arn),
        ("ODB network", &route.odb_network_arn),
    ];
    let named = opaque
        .into_iter()
        .find_map(|(kind, id)| id.as_ref().map(|id| format!("{kind} {id}")));
    Ok(Target::Opaque(named.unwrap_or_else(|| {
        "a target of a kind that credpin does not know".to_owned()
    })))
}

fn nat(shape: &shape::NatGateway) -> Result<Option<Nat>, FieldError> {
    if matches!(
        shape.state.as_deref(),
        Some("deleted" | "deleting" | "failed")
    ) {
        return Ok(None);
    }
    // An address that failed to be assigned was never used.
    let addresses = || {
        shape
            .nat_gateway_addresses
            .iter()
            .filter(|address| address.status.as_deref() != Some("failed"))
    };
    let regional = shape.availability_mode.as_deref() == Some("regional");
    let off = |switch: &Option<String>| switch.as_deref() == Some("disabled");
    Ok(Some(Nat {
        id: required("NatGatewayId", shape.nat_gateway_id.as_ref())?,
        subnet: optional("SubnetId", shape.subnet_id.as_ref())?,
        public: shape.connectivity_type.as_deref() != Some("private"),
        public_ipv4: addresses()
            .filter_map(|address| {
                optional("NatGatewayAddresses.PublicIp", address.public_ip.as_ref()).transpose()
            })
            .collect::<Result<_, _>>()?,
        private_ipv4: addresses()
            .filter_map(|address| {
                optional("NatGatewayAddresses.PrivateIp", address.private_ip.as_ref()).transpose()
            })
            .collect::<Result<_, _>>()?,
        // A regional gateway follows its hosts into new zones and takes addresses there, unless
        // both ways of doing so were switched off.
        grows: regional && !(off(&shape.auto_scaling_ips) && off(&shape.auto_provision_zones)),
    }))
}
