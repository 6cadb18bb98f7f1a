//! The ways around a pin that are known from others, against a pin with one of each statement.
//!
//! Two hosts of one role in `vpc-0a`: `i-01` at 10.0.1.5 in a private subnet, which leaves by the NAT
//! gateway 203.0.113.10, and `i-02` at 10.0.2.6 with a public address of its own, 198.51.100.7, and
//! an IPv6 address. `vpc-0hub` holds endpoints for everybody.

use std::net::IpAddr;

use credpin_core::{
    evaluate::denied_by,
    policy::Document,
    request::{Key, Request},
};
use credpin_witness::{Call, note_call};

const PIN: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "PublicA", "Effect": "Deny", "Resource": "*",
      "NotAction": ["es:ES*", "rds-db:connect"],
      "Condition": {
        "Null": {"ec2:SourceInstanceARN": "false", "aws:SourceVpc": "true"},
        "BoolIfExists": {"aws:ViaAWSService": "false"},
        "StringEquals": {"aws:Ec2InstanceSourceVpc": "vpc-0a"},
        "NotIpAddress": {"aws:SourceIp": ["203.0.113.10/32", "198.51.100.7/32", "2001:db8:a::6/128"]}
      }
    },
    {
      "Sid": "PublicOther", "Effect": "Deny", "Resource": "*",
      "NotAction": ["es:ES*", "rds-db:connect"],
      "Condition": {
        "Null": {"ec2:SourceInstanceARN": "false", "aws:SourceVpc": "true"},
        "BoolIfExists": {"aws:ViaAWSService": "false"},
        "StringNotEquals": {"aws:Ec2InstanceSourceVpc": "vpc-0a"}
      }
    },
    {
      "Sid": "EndpointVpc", "Effect": "Deny", "Resource": "*",
      "NotAction": ["es:ES*", "rds-db:connect"],
      "Condition": {
        "Null": {"ec2:SourceInstanceARN": "false", "aws:SourceVpc": "false"},
        "BoolIfExists": {"aws:ViaAWSService": "false"},
        "StringNotEquals": {"aws:SourceVpc": ["${aws:Ec2InstanceSourceVpc}", "vpc-0hub"]}
      }
    },
    {
      "Sid": "EndpointV4", "Effect": "Deny", "Resource": "*",
      "NotAction": ["es:ES*", "rds-db:connect"],
      "Condition": {
        "Null": {"ec2:SourceInstanceARN": "false", "aws:SourceVpc": "false"},
        "BoolIfExists": {"aws:ViaAWSService": "false"},
        "IpAddress": {"aws:VpcSourceIp": ["0.0.0.0/1", "128.0.0.0/1"]},
        "StringNotEquals": {"aws:Ec2InstanceSourcePrivateIPv4": "${aws:VpcSourceIp}"}
      }
    },
    {
      "Sid": "EndpointV6", "Effect": "Deny", "Resource": "*",
      "NotAction": ["es:ES*", "rds-db:connect"],
      "Condition": {
        "Null": {"ec2:SourceInstanceARN": "false", "aws:SourceVpc": "false"},
        "BoolIfExists": {"aws:ViaAWSService": "false"},
        "IpAddress": {"aws:VpcSourceIp": ["::/1", "8000::/1"]},
        "NotIpAddress": {"aws:VpcSourceIp": "2001:db8:a::6/128"}
      }
    },
    {
      "Sid": "SelfDefence", "Effect": "Deny", "Resource": "*",
      "Action": ["iam:DetachRolePolicy", "iam:DeletePolicy*"],
      "Condition": {"Null": {"ec2:SourceInstanceARN": "false"}}
    }
  ]
}"#;

/// Where a call comes from.
#[derive(Clone, Copy)]
enum Origin {
    Internet(&'static str),
    Endpoint(&'static str, &'static str),
}
use Origin::{Endpoint, Internet};

const I_01: [&str; 3] = ["i-01", "vpc-0a", "10.0.1.5"];
const I_02: [&str; 3] = ["i-02", "vpc-0a", "10.0.2.6"];

/// A call with the credential of an instance, given as its id, VPC and primary private address.
fn call([id, vpc, private]: [&str; 3], from: Origin) -> Request {
    network(Request::new("s3:GetObject"), from)
        .with(
            Key::SourceInstanceArn,
            format_args!("arn:aws:ec2:eu-west-1:111122223333:instance/{id}"),
        )
        .with(Key::Ec2InstanceSourceVpc, vpc)
        .with(Key::Ec2InstanceSourcePrivateIpv4, private)
        .with(Key::RoleDelivery, "2.0")
        .with(Key::UserId, format_args!("AROAEXAMPLE:{id}"))
        .with(Key::ViaAwsService, false)
}

fn network(request: Request, from: Origin) -> Request {
    match from {
        Internet(address) => request.with(Key::SourceIp, address),
        Endpoint(vpc, address) => request
            .with(Key::SourceVpc, vpc)
            .with(Key::SourceVpce, "vpce-0e")
            .with(Key::VpcSourceIp, address),
    }
}

/// The statement of the pin that denies `request`.
fn denied(request: &Request) -> Option<String> {
    let pin = Document::parse(PIN).expect("it is as we write them");
    let by = denied_by([&pin], request).map(|statement| statement.sid.clone());
    // The judge is asked about the same calls (tests/e2e/tests/judged.rs).
    let context = request.context().map(|(key, value)| (key.name(), value));
    let resource = request.resource.as_deref();
    let call = Call::new(&request.action, resource, context, by.is_some());
    note_call(pin.to_json(), call);
    by
}

#[track_caller]
fn assert_denied(request: &Request, by: &str) {
    assert_eq!(denied(request).as_deref(), Some(by), "{request:?}");
}

#[track_caller]
fn assert_admitted(request: &Request) {
    assert_eq!(denied(request), None, "{request:?}");
}

#[test]
fn home_is_admitted() {
    for from in [
        Internet("203.0.113.10"),
        Endpoint("vpc-0a", "10.0.1.5"),
        Endpoint("vpc-0hub", "10.0.1.5"),
    ] {
        assert_admitted(&call(I_01, from));
    }
    for from in [
        Internet("198.51.100.7"),
        Internet("2001:db8:a::6"),
        Endpoint("vpc-0a", "10.0.2.6"),
        Endpoint("vpc-0a", "2001:db8:a::6"),
    ] {
        assert_admitted(&call(I_02, from));
    }
}

#[test]
fn the_internet_at_large_is_denied() {
    for address in [
        "192.0.2.1",
        "203.0.113.11",
        "2001:db8:a::7",
        "::ffff:203.0.113.10",
    ] {
        assert!(address.parse::<IpAddr>().is_ok());
        assert_denied(&call(I_01, Internet(address)), "PublicA");
    }
}

#[test]
fn an_attackers_vpc_with_the_victims_private_address_is_denied() {
    assert_denied(
        &call(I_01, Endpoint("vpc-0evil", "10.0.1.5")),
        "EndpointVpc",
    );
}

#[test]
fn another_host_of_the_account_is_denied_by_endpoint_and_reported_by_the_same_nat() {
    assert_denied(&call(I_01, Endpoint("vpc-0a", "10.0.2.6")), "EndpointV4");
    assert_denied(&call(I_01, Endpoint("vpc-0b", "10.9.0.1")), "EndpointVpc");
    // One group: the egress of one host is open to the other. Exposure counts it.
    assert_admitted(&call(I_01, Internet("198.51.100.7")));
}

#[test]
fn a_token_from_a_vpc_that_no_group_names_is_denied() {
    let elsewhere = ["i-09", "vpc-0new", "10.5.0.1"];
    assert_denied(&call(elsewhere, Internet("203.0.113.10")), "PublicOther");
}

#[test]
fn a_secondary_interface_is_denied_where_the_pin_knows_one_address_a_host() {
    assert_denied(&call(I_01, Endpoint("vpc-0a", "10.0.1.99")), "EndpointV4");
}

#[test]
fn ipv6_is_no_way_around() {
    assert_denied(
        &call(I_01, Endpoint("vpc-0a", "2001:db8:a::7")),
        "EndpointV6",
    );
    assert_denied(
        &call(I_01, Endpoint("vpc-0evil", "2001:db8:a::6")),
        "EndpointVpc",
    );
    assert_denied(&call(I_01, Internet("2001:db8:b::1")), "PublicA");
}

#[test]
fn a_host_without_ipv4_is_denied_at_an_ipv4_endpoint() {
    // The key is absent, and a negated operator is true of it.
    let request = Request::new("s3:GetObject")
        .with(
            Key::SourceInstanceArn,
            "arn:aws:ec2:eu-west-1:111122223333:instance/i-06",
        )
        .with(Key::Ec2InstanceSourceVpc, "vpc-0a");
    assert_denied(
        &network(request, Endpoint("vpc-0a", "10.0.1.5")),
        "EndpointV4",
    );
}

#[test]
fn a_service_on_the_callers_behalf_is_admitted() {
    let behalf = |from: Origin| call(I_01, from).with(Key::ViaAwsService, "true");
    assert_admitted(&behalf(Internet("192.0.2.1")));
    assert_admitted(&behalf(Endpoint("vpc-0evil", "10.0.1.5")));
    // The caller's own first call is not one.
    assert_denied(&call(I_01, Internet("192.0.2.1")), "PublicA");
}

#[test]
fn a_url_presigned_at_home_is_judged_where_it_is_used() {
    assert_admitted(&call(I_01, Internet("203.0.113.10")));
    assert_denied(&call(I_01, Internet("192.0.2.1")), "PublicA");
}

#[test]
fn another_roles_session_on_the_same_host_is_no_way_to_move_a_token() {
    // A task's or a pod's own role is not delivered by EC2, and this pin is not on it.
    let of_a_task = Request::new("s3:GetObject")
        .with(Key::UserId, "AROATASK:task-1")
        .with(Key::ViaAwsService, false);
    assert_admitted(&network(of_a_task, Internet("203.0.113.10")));
    // It gives no other host's token a home: at this host's endpoint address that stays away.
    assert_denied(&call(I_02, Endpoint("vpc-0a", "10.0.1.5")), "EndpointV4");
    // And a token that says who its host is says so whatever its session is called.
    let renamed = call(I_01, Internet("192.0.2.1")).with(Key::UserId, "AROAEXAMPLE:deploy");
    assert_denied(&renamed, "PublicA");
}

#[test]
fn a_chained_role_carries_no_instance_and_escapes() {
    let chained = Request::new("s3:GetObject")
        .with(Key::UserId, "AROAOTHER:session")
        .with(Key::ViaAwsService, false);
    assert_admitted(&network(chained, Internet("192.0.2.1")));
}

#[test]
fn the_role_cannot_take_its_own_pin_off_even_from_home() {
    for action in [
        "iam:DetachRolePolicy",
        "iam:DeletePolicyVersion",
        "IAM:detachrolepolicy",
    ] {
        let mut request = call(I_01, Internet("203.0.113.10"));
        request.action = action.into();
        assert_denied(&request, "SelfDefence");
    }
}

#[test]
fn an_exempt_data_plane_is_open_to_a_thief() {
    for (action, by) in [
        ("es:ESHttpGet", None),
        ("es:DescribeDomain", Some("PublicA")),
    ] {
        let mut request = call(I_01, Internet("192.0.2.1"));
        request.action = action.into();
        assert_eq!(denied(&request).as_deref(), by);
    }
}
