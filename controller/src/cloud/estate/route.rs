//! Route tables: what they serve, and where each route leads.

use std::collections::BTreeMap;

use credpin_core::{
    estate::{Destination, Instance, Route, RouteTable, Target},
    id::InstanceId,
};

use super::field::{FieldError, optional, required};
use crate::cloud::shapes::ec2 as shape;

/// `VpcEndpointType` by the endpoint's id.
pub(super) type EndpointTypes<'a> = BTreeMap<&'a str, &'a str>;

pub(super) fn endpoint_types(answer: &shape::DescribeVpcEndpoints) -> EndpointTypes<'_> {
    answer
        .vpc_endpoints
        .iter()
        .filter_map(|endpoint| {
            let kind = endpoint.vpc_endpoint_type.as_deref()?;
            Some((endpoint.vpc_endpoint_id.as_deref()?, kind))
        })
        .collect()
}

pub(super) fn table(
    shape: &shape::RouteTable,
    instances: &BTreeMap<InstanceId, Instance>,
    endpoints: &EndpointTypes<'_>,
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
                    target: target(route, instances, endpoints)?,
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
    endpoints: &EndpointTypes<'_>,
) -> Result<Target, FieldError> {
    if let Some(gateway) = route.gateway_id.as_deref() {
        return Ok(match gateway.split_once('-') {
            None if gateway == "local" => Target::Local,
            Some(("igw", _)) => Target::InternetGateway,
            Some(("vgw", _)) => Target::Opaque(format!("virtual private gateway {gateway}")),
            // The same kind of id serves S3 or DynamoDB in this VPC, and appliances behind a gateway
            // load balancer: only the endpoint's own description tells.
            Some(("vpce", _)) => match endpoints.get(gateway).copied() {
                Some("Gateway") => Target::GatewayEndpoint,
                Some(kind) => Target::Opaque(format!("{kind} endpoint {gateway}")),
                None => Target::Opaque(format!("endpoint {gateway}, whose type was not seen")),
            },
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
    // In a Wavelength zone: it maps a host's private address to the host's own carrier address, to
    // the internet too (AWS Wavelength Developer Guide, "How AWS Wavelength works").
    if route.carrier_gateway_id.is_some() {
        return Ok(Target::InternetGateway);
    }
    let opaque = [
        ("transit gateway", &route.transit_gateway_id),
        ("VPC peering", &route.vpc_peering_connection_id),
        ("local gateway", &route.local_gateway_id),
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
