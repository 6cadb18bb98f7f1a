//! Statements and calls of a small world, for properties of documents.

use ipnet::IpNet;
use proptest::prelude::*;

use super::{Actions, Statement, Test, Text};
use crate::request::{Key, Request};

const ADDRESSES: [&str; 6] = [
    "10.0.0.0",
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.9",
    "2001:db8::1",
];
const NETS: [&str; 8] = [
    "10.0.0.0/32",
    "10.0.0.1/32",
    "10.0.0.2/31",
    "10.0.0.0/30",
    "10.0.0.0/31",
    "0.0.0.0/1",
    "2001:db8::/64",
    "::/1",
];
const VPCS: [&str; 3] = ["vpc-a", "vpc-b", "vpc-c"];

fn nets() -> impl Strategy<Value = Vec<IpNet>> {
    prop::sample::subsequence(NETS.to_vec(), 1..4)
        .prop_map(|nets| nets.into_iter().map(|net| net.parse().unwrap()).collect())
}

fn texts(variables: bool) -> impl Strategy<Value = Vec<Text>> {
    (
        prop::sample::subsequence(VPCS.to_vec(), 1..3),
        any::<bool>(),
    )
        .prop_map(move |(vpcs, own)| {
            let mut texts: Vec<Text> = vpcs.into_iter().map(Text::literal).collect();
            if own && variables {
                texts.push(Text::variable(Key::Ec2InstanceSourceVpc));
            }
            texts
        })
}

fn test(all: bool) -> impl Strategy<Value = (Key, Test)> {
    let string = prop::sample::select(vec![Key::SourceVpc, Key::Ec2InstanceSourceVpc]);
    let address = prop::sample::select(vec![Key::SourceIp, Key::Ec2InstanceSourcePrivateIpv4]);
    let any_key = prop::sample::select(vec![Key::SourceVpc, Key::SourceIp]);
    prop_oneof![
        (any_key, any::<bool>()).prop_map(|(key, null)| (key, Test::Null(null))),
        Just((Key::ViaAwsService, Test::BoolIfExists(false))),
        (string.clone(), texts(all)).prop_map(|(key, texts)| (key, Test::StringEquals(texts))),
        (string.clone(), texts(true)).prop_map(|(key, texts)| (key, Test::StringNotEquals(texts))),
        (string, texts(true)).prop_map(|(key, texts)| (key, Test::StringNotEqualsIfExists(texts))),
        (address.clone(), nets()).prop_map(|(key, nets)| (key, Test::IpAddress(nets))),
        (address.clone(), nets()).prop_map(|(key, nets)| (key, Test::NotIpAddress(nets))),
        (address, nets()).prop_map(|(key, nets)| (key, Test::NotIpAddressIfExists(nets))),
    ]
}

/// A statement; not `all`: only of words whose pairs can always be said in one.
pub(crate) fn statement(all: bool) -> impl Strategy<Value = Statement> {
    let actions = prop_oneof![
        3 => Just(Actions::AllBut(vec!["es:ES*".into()])),
        1 => Just(Actions::AllBut(vec!["dax:Query".into(), "es:ES*".into()])),
        u32::from(all) => Just(Actions::Only(vec!["iam:*".into()])),
    ];
    (actions, prop::collection::vec(test(all), 0..5)).prop_map(|(actions, tests)| {
        tests
            .into_iter()
            .fold(Statement::deny("S", actions), |statement, (key, test)| {
                statement.when(key, test)
            })
    })
}

/// A call.
pub(crate) fn request() -> impl Strategy<Value = Request> {
    let action = prop::sample::select(vec![
        "s3:GetObject",
        "es:ESHttpGet",
        "dax:Query",
        "iam:GetRole",
    ]);
    let vpc = || prop::option::of(prop::sample::select(VPCS.to_vec()));
    let address = || prop::option::of(prop::sample::select(ADDRESSES.to_vec()));
    (
        action,
        vpc(),
        vpc(),
        address(),
        address(),
        prop::option::of(any::<bool>()),
    )
        .prop_map(|(action, vpc, own, from, private, via)| {
            let mut request = Request::new(action);
            for (key, value) in [
                (Key::SourceVpc, vpc),
                (Key::Ec2InstanceSourceVpc, own),
                (Key::SourceIp, from),
                (Key::Ec2InstanceSourcePrivateIpv4, private),
            ] {
                if let Some(value) = value {
                    request = request.with(key, value);
                }
            }
            via.map_or(request.clone(), |via| request.with(Key::ViaAwsService, via))
        })
}
