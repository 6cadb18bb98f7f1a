//! A region: hosts, their interfaces, and the ways that traffic takes.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use credpin_core::{
    estate::{Instance, InstanceState, Interface, Nat, PrivateIpv4, Region, Subnet},
    id::{AccountId, VpcId},
};

use super::{
    Sorter,
    field::{FieldError, optional, required},
    route,
};
use crate::cloud::shapes::ec2 as shape;

/// Elastic addresses by interface and private address.
type Elastic<'a> = BTreeMap<(&'a str, &'a str), &'a str>;

pub(super) fn read(seen: &shape::Region, sorter: &mut Sorter<'_>) -> Region {
    let elastic = elastic(&seen.addresses);
    let endpoints = route::endpoint_types(&seen.vpc_endpoints);
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
            |shape| interface(shape, None, &elastic).map(Some),
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
                |shape| route::table(shape, &instances, &endpoints).map(Some),
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
    let vpc: VpcId = required("VpcId", shape.vpc_id.as_ref())?;
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
        subnet: required("SubnetId", shape.subnet_id.as_ref())?,
        primary_ipv4: optional("PrivateIpAddress", shape.private_ip_address.as_ref())?,
        interfaces: interfaces
            .into_iter()
            .map(|shape| interface(shape, Some(&vpc), elastic))
            .collect::<Result<_, _>>()?,
        vpc,
    }))
}

/// An interface; one that names no VPC is in `home`, its instance's.
fn interface(
    shape: &shape::NetworkInterface,
    home: Option<&VpcId>,
    elastic: &Elastic<'_>,
) -> Result<Interface, FieldError> {
    let mut ipv4: Vec<(bool, PrivateIpv4)> = shape
        .private_ip_addresses
        .iter()
        .map(|address| Ok((address.primary, private_ipv4(shape, address, elastic)?)))
        .collect::<Result<_, FieldError>>()?;
    ipv4.sort_by_key(|(primary, _)| !primary);
    let vpc = match (optional("VpcId", shape.vpc_id.as_ref())?, home) {
        (Some(own), _) => own,
        (None, Some(home)) => home.clone(),
        (None, None) => return Err(FieldError::new("VpcId", "is missing")),
    };
    Ok(Interface {
        id: required("NetworkInterfaceId", shape.network_interface_id.as_ref())?,
        vpc,
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
    let mapped = address.association.as_ref().and_then(|association| {
        let carrier = association.carrier_ip.as_ref();
        association.public_ip.as_ref().or(carrier)
    });
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
        ipv4: optional(
            "CidrBlock",
            shape.cidr_block.as_ref().filter(|it| !it.is_empty()),
        )?
        .map(|net: ipnet::Ipv4Net| net.trunc()),
        ipv6: shape
            .ipv6_cidr_block_association_set
            .iter()
            .filter(|prefix| is_associated(prefix))
            .map(|prefix| {
                let text = prefix.ipv6_cidr_block.as_ref();
                required("Ipv6CidrBlockAssociationSet.Ipv6CidrBlock", text)
            })
            .map(|read: Result<ipnet::Ipv6Net, _>| Ok(read?.trunc()))
            .collect::<Result<_, _>>()?,
        maps_public_ipv4: shape.map_public_ip_on_launch,
        assigns_ipv6: shape.assign_ipv6_address_on_creation,
    })
}

/// Whether a subnet has the prefix; while it is being taken away hosts may still have addresses in it.
fn is_associated(prefix: &shape::SubnetIpv6Prefix) -> bool {
    let state = prefix.ipv6_cidr_block_state.as_ref();
    let state = state.and_then(|it| it.state.as_deref());
    !matches!(state, Some("disassociated" | "failing" | "failed"))
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
        route_table: optional("RouteTableId", shape.route_table_id.as_ref())?,
        appliance: appliance(shape),
        // A regional gateway follows its hosts into new zones and takes addresses there, unless
        // both ways of doing so were switched off.
        grows: regional && !(off(&shape.auto_scaling_ips) && off(&shape.auto_provision_zones)),
    }))
}

/// What the gateway's traffic passes, until it is surely taken off.
fn appliance(shape: &shape::NatGateway) -> Option<String> {
    let attached = shape
        .attached_appliances
        .iter()
        .find(|appliance| appliance.attachment_state.as_deref() != Some("detached"))?;
    let name = attached
        .appliance_arn
        .as_ref()
        .or(attached.vpc_endpoint_id.as_ref());
    Some(name.map_or_else(
        || "an appliance".to_owned(),
        |name| format!("appliance {name}"),
    ))
}
