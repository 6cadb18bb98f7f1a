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
    /// A call with the keys that the credential itself brings along. It does not say from where, nor what is
    /// called.
    signed: Request,
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
            .with(Key::Ec2InstanceSourceVpc, &host.vpc)
            .with(Key::RoleDelivery, "2.0");
        let signed = match host.primary_ipv4 {
            Some(address) => signed.with_address(Key::Ec2InstanceSourcePrivateIpv4, address.into()),
            None => signed,
        };
        Self { signed, derived }
    }

    /// The same on a host of another VPC that has all else of this one.
    #[must_use]
    pub fn in_vpc(&self, vpc: &VpcId) -> Self {
        let signed = self.signed.clone().with(Key::Ec2InstanceSourceVpc, vpc);
        let derived = self.derived.clone();
        Self { signed, derived }
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
        by_a_service(self.signed.clone().of(action), position)
    }
}

impl Session {
    /// A session of `role` that whoever assumed it named `name`. It brings none of EC2's keys along (IAM
    /// User Guide, "AWS global condition context keys").
    pub fn of(role: &Role, name: &str) -> Self {
        let request = Request::new("")
            .with(Key::PrincipalArn, &role.arn)
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
        by_a_service(self.0.clone().of(action), position)
    }
}

fn by_a_service(request: Request, position: &Position) -> Request {
    let request = request.with(Key::ViaAwsService, true);
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
            .with(Key::SourceVpc, vpc)
            .with_address(Key::VpcSourceIp, *address),
    }
}
