//! A credential that EC2 delivered, as its condition keys show it wherever it is used.

use std::net::Ipv4Addr;

use crate::{
    estate::Role,
    footprint::Host,
    id::VpcId,
    position::Position,
    request::{Key, Request},
};

/// A role's credential on one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    role_arn: String,
    userid: String,
    instance_arn: String,
    vpc: VpcId,
    primary_ipv4: Option<Ipv4Addr>,
}

impl Credential {
    /// The credential of `role` on `host`.
    pub fn of(role: &Role, host: &Host) -> Self {
        let account = role.arn.account();
        Self {
            role_arn: role.arn.to_string(),
            userid: format!("{}:{}", role.id, host.instance),
            instance_arn: format!(
                "arn:{}:ec2:{}:{account}:instance/{}",
                role.arn.partition(),
                host.region,
                host.instance
            ),
            vpc: host.vpc.clone(),
            primary_ipv4: host.primary_ipv4,
        }
    }

    /// A call of `action` signed with it, coming from `position`.
    pub fn used_from(&self, position: &Position, action: &str) -> Request {
        at(
            self.signed(action).with(Key::ViaAwsService, false),
            position,
        )
    }

    /// A call of `action` by a session that has its name and not the keys that EC2's delivery leaves.
    pub fn derived_used_from(&self, position: &Position, action: &str) -> Request {
        let request = Request::new(action)
            .with(Key::PrincipalArn, &self.role_arn)
            .with(Key::UserId, &self.userid)
            .with(Key::ViaAwsService, false);
        at(request, position)
    }

    /// A call of `action` that a service makes for its holder, who called the service from
    /// `position`. The VPC keys are dropped, and the address is carried on where that first call
    /// came over a public endpoint.
    pub fn used_by_a_service(&self, position: &Position, action: &str) -> Request {
        let request = self.signed(action).with(Key::ViaAwsService, true);
        match position {
            Position::Internet(address) => request.with(Key::SourceIp, address),
            Position::Endpoint { .. } => request,
        }
    }

    /// A call with the keys that the credential itself brings along.
    fn signed(&self, action: &str) -> Request {
        let request = Request::new(action)
            .with(Key::PrincipalArn, &self.role_arn)
            .with(Key::UserId, &self.userid)
            .with(Key::SourceInstanceArn, &self.instance_arn)
            .with(Key::Ec2InstanceSourceVpc, &self.vpc)
            .with(Key::RoleDelivery, "2.0");
        match self.primary_ipv4 {
            Some(address) => request.with(Key::Ec2InstanceSourcePrivateIpv4, address),
            None => request,
        }
    }
}

/// The same call, coming from `position`.
fn at(request: Request, position: &Position) -> Request {
    match position {
        Position::Internet(address) => request.with(Key::SourceIp, address),
        Position::Endpoint { vpc, address } => request
            .with(Key::SourceVpc, vpc)
            .with(Key::VpcSourceIp, address),
    }
}
