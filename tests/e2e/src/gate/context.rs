//! The condition keys of a request.
//!
//! Which are present when: IAM User Guide, "AWS global condition context keys"; EC2 User Guide, "Condition
//! keys for instance credentials"; IAM User Guide, "Forward access sessions".

use std::net::IpAddr;

use super::session::Delivery;
use super::{Door, Session};
use crate::judge::{Fact, Facts};

/// The keys of a request that a session makes from a position through a door.
pub(super) fn of(session: &Session, door: &Door, from: IpAddr) -> Facts {
    let mut facts = Facts::new();
    let mut add = |key: &str, value: Fact| facts.insert(key.to_owned(), value);

    add("aws:PrincipalArn", session.role_arn.as_str().into());
    add("aws:PrincipalAccount", session.account.as_str().into());
    add("aws:PrincipalType", "AssumedRole".into());
    add("aws:userid", session.user_id().into());
    add("aws:TokenIssueTime", session.issued.as_str().into());
    add("aws:SecureTransport", "true".into());

    // These follow the credential, wherever it goes.
    add(
        "ec2:SourceInstanceARN",
        session.instance_arn.as_str().into(),
    );
    add("ec2:RoleDelivery", delivery(session.delivery).into());
    add("aws:Ec2InstanceSourceVpc", session.vpc.as_str().into());
    add(
        "aws:Ec2InstanceSourcePrivateIPv4",
        session.private_address.to_string().into(),
    );

    match door {
        Door::Public => {
            add("aws:SourceIp", from.to_string().into());
            add("aws:ViaAWSService", "false".into());
        }
        Door::Endpoint { vpc, endpoint } => {
            add("aws:VpcSourceIp", from.to_string().into());
            add("aws:SourceVpc", vpc.as_str().into());
            add("aws:SourceVpce", endpoint.as_str().into());
            add("aws:ViaAWSService", "false".into());
        }
        Door::Service { name } => {
            add("aws:SourceIp", from.to_string().into());
            add("aws:ViaAWSService", "true".into());
            add("aws:CalledVia", Fact::Many(vec![name.clone()]));
            add("aws:CalledViaFirst", name.as_str().into());
            add("aws:CalledViaLast", name.as_str().into());
        }
    }
    facts
}

fn delivery(version: Delivery) -> &'static str {
    match version {
        Delivery::V1 => "1.0",
        Delivery::V2 => "2.0",
    }
}
