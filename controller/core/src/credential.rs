//! A credential, as its condition keys show it wherever it is used: one that EC2 delivered, or one of a
//! session that was made by assuming a role.

use std::sync::Arc;

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
    /// A call with the keys that the credential itself brings along, and one that a service makes for its
    /// holder. Neither says from where, nor what is called.
    signed: Request,
    by_service: Request,
    /// A session that has its name only.
    derived: Session,
}

/// A session of a role that EC2 did not deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session(Request);

impl Credential {
    /// The credential of `role` on `host`.
    pub fn of(role: &Role, host: &Host) -> Self {
        let account = role.arn.account();
        let derived = Session::of(role, host.instance.as_str());
        let instance = format!(
            "arn:{}:ec2:{}:{account}:instance/{}",
            role.arn.partition(),
            host.region,
            host.instance
        );
        let signed = derived
            .0
            .clone()
            .with(Key::SourceInstanceArn, instance)
            .with_text(Key::Ec2InstanceSourceVpc, (&host.vpc).into())
            .with(Key::RoleDelivery, "2.0");
        let signed = match host.primary_ipv4 {
            Some(address) => signed.with_address(Key::Ec2InstanceSourcePrivateIpv4, address.into()),
            None => signed,
        };
        Self {
            by_service: signed.clone().with(Key::ViaAwsService, true),
            signed,
            derived,
        }
    }

    /// The same on a host of another VPC that has all else of this one.
    #[must_use]
    pub fn in_vpc(&self, vpc: &VpcId) -> Self {
        let elsewhere = |request: &Request| {
            let request = request.clone();
            request.with_text(Key::Ec2InstanceSourceVpc, vpc.into())
        };
        Self {
            signed: elsewhere(&self.signed),
            by_service: elsewhere(&self.by_service),
            derived: self.derived.clone(),
        }
    }

    /// A call of `action` signed with it, coming from `position`.
    pub fn used_from(&self, position: &Position, action: impl Into<Arc<str>>) -> Request {
        at(self.signed.clone().of(action), position)
    }

    /// A call of `action` by a session that has its name and not the keys that EC2's delivery leaves.
    pub fn derived_used_from(&self, position: &Position, action: impl Into<Arc<str>>) -> Request {
        self.derived.used_from(position, action)
    }

    /// A call of `action` that a service makes for its holder, who called the service from
    /// `position`. The VPC keys are dropped, and the address is carried on where that first call
    /// came over a public endpoint.
    pub fn used_by_a_service(&self, position: &Position, action: impl Into<Arc<str>>) -> Request {
        by_a_service(self.by_service.clone().of(action), position)
    }
}

impl Session {
    /// A session of `role` that whoever assumed it named `name`. It brings none of EC2's keys along (IAM
    /// User Guide, "AWS global condition context keys").
    pub fn of(role: &Role, name: &str) -> Self {
        let request = Request::new("")
            .with_text(Key::PrincipalArn, (&role.arn).into())
            .with(Key::UserId, format_args!("{}:{name}", role.id))
            .with(Key::ViaAwsService, false);
        Self(request)
    }

    /// A call of `action` by it, coming from `position`.
    pub fn used_from(&self, position: &Position, action: impl Into<Arc<str>>) -> Request {
        at(self.0.clone().of(action), position)
    }

    /// A call of `action` that a service makes for it; see [`Credential::used_by_a_service`].
    pub fn used_by_a_service(&self, position: &Position, action: impl Into<Arc<str>>) -> Request {
        let request = self.0.clone().with(Key::ViaAwsService, true);
        by_a_service(request.of(action), position)
    }
}

/// What a service makes of its caller's position: see [`Credential::used_by_a_service`].
fn by_a_service(request: Request, position: &Position) -> Request {
    match position {
        Position::Internet(address) => request.with_address(Key::SourceIp, *address),
        Position::Endpoint { .. } => request,
    }
}

/// The same call, coming from `position`.
fn at(request: Request, position: &Position) -> Request {
    match position {
        Position::Internet(address) => request.with_address(Key::SourceIp, *address),
        Position::Endpoint { vpc, address } => request
            .with_text(Key::SourceVpc, vpc.into())
            .with_address(Key::VpcSourceIp, *address),
    }
}
