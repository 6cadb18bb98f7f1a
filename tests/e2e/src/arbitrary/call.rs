//! Random calls of a pin.

use std::net::IpAddr;

use credpin_core::policy::Document;
use credpin_core::request::{Key, Request};
use proptest::option::weighted;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::sample::select;

use super::{nets_of, value};
use crate::bearing::edges;

/// Actions with a resource of the kind that each is for: data planes that pins leave alone, others
/// of the same services, and some of everyday.
const ACTIONS: [(&str, &str); 13] = [
    ("dynamodb:ListTables", "*"),
    ("ec2:DescribeInstances", "*"),
    ("s3:GetObject", "arn:aws:s3:::loot/a/file"),
    (
        "sqs:SendMessage",
        "arn:aws:sqs:eu-west-1:111122223333:queue",
    ),
    (
        "es:ESHttpGet",
        "arn:aws:es:eu-west-1:111122223333:domain/logs",
    ),
    (
        "es:DescribeDomain",
        "arn:aws:es:eu-west-1:111122223333:domain/logs",
    ),
    (
        "dax:GetItem",
        "arn:aws:dax:eu-west-1:111122223333:cache/hot",
    ),
    ("dax:Scan", "arn:aws:dax:eu-west-1:111122223333:cache/hot"),
    (
        "dax:ListTags",
        "arn:aws:dax:eu-west-1:111122223333:cache/hot",
    ),
    (
        "kafka-cluster:Connect",
        "arn:aws:kafka:eu-west-1:111122223333:cluster/events/uuid",
    ),
    ("iam:DetachRolePolicy", "arn:aws:iam::111122223333:role/web"),
    (
        "iam:CreatePolicyVersion",
        "arn:aws:iam::111122223333:policy/credpin/credpin-web",
    ),
    (
        "elasticfilesystem:ClientMount",
        "arn:aws:elasticfilesystem:eu-west-1:111122223333:file-system/fs-0a",
    ),
];

/// A call, and the resource that it is made on: most often as AWS would show it, sometimes with keys
/// that never come together. Its addresses lie at the ends of the prefixes of `document` and right
/// beside them.
pub fn call(document: &Document) -> impl Strategy<Value = (Request, String)> + use<> {
    let addresses: Vec<IpAddr> = nets_of(document).iter().flat_map(edges).collect();
    let values = Key::all()
        .map(|key| (Just(key), value_of(key, &addresses)))
        .collect::<Vec<_>>();
    let action = prop_oneof![
        3 => select(&ACTIONS[..4]),
        1 => select(&ACTIONS[4..]),
    ];
    (
        action,
        keys(),
        values,
        weighted(0.4, Just(Key::VpcSourceIp)),
    )
        .prop_map(|((action, resource), keys, values, same)| {
            let value = |key| {
                values
                    .iter()
                    .find(|(other, _)| *other == key)
                    .map(|(_, value)| value)
            };
            let request = match resource {
                "*" => Request::new(action),
                arn => Request::new(action).on(arn),
            };
            let request = keys.into_iter().fold(request, |request, key| {
                // A host that calls from its own address.
                let from = match key {
                    Key::Ec2InstanceSourcePrivateIpv4 => same.unwrap_or(key),
                    key => key,
                };
                value(from)
                    .into_iter()
                    .fold(request, |request, value| request.with(key, value))
            });
            (request, resource.to_owned())
        })
}

/// The keys that are present.
fn keys() -> impl Strategy<Value = Vec<Key>> {
    let network = prop_oneof![
        4 => Just(vec![Key::SourceIp]),
        4 => Just(vec![Key::SourceVpc, Key::SourceVpce, Key::VpcSourceIp]),
        1 => Just(vec![]),
        1 => Just(vec![Key::SourceIp, Key::SourceVpc, Key::VpcSourceIp]),
    ];
    let credential = vec![
        (Key::SourceInstanceArn, 0.95),
        (Key::Ec2InstanceSourceVpc, 0.95),
        (Key::Ec2InstanceSourcePrivateIpv4, 0.9),
        (Key::RoleDelivery, 0.9),
        (Key::ViaAwsService, 0.8),
        (Key::TokenIssueTime, 0.9),
        (Key::UserId, 0.9),
        (Key::PrincipalArn, 0.9),
    ];
    let credential = credential
        .into_iter()
        .map(|(key, often)| weighted(often, Just(key)))
        .collect::<Vec<_>>();
    (network, credential).prop_map(|(network, credential)| {
        network
            .into_iter()
            .chain(credential.into_iter().flatten())
            .collect()
    })
}

fn value_of(key: Key, addresses: &[IpAddr]) -> impl Strategy<Value = String> + use<> {
    let some = value::some_of(key).iter().map(ToString::to_string);
    let edges: Vec<String> = match value::kind(key) {
        value::Kind::Address => addresses.iter().map(ToString::to_string).collect(),
        _ => vec![],
    };
    let some = select(some.collect::<Vec<_>>());
    if edges.is_empty() {
        some.boxed()
    } else {
        prop_oneof![1 => some, 4 => select(edges)].boxed()
    }
}
