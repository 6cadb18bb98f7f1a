//! Values of condition keys, few enough to be equal now and then.

use std::net::{Ipv4Addr, Ipv6Addr};

use credpin_core::id::VpcId;
use credpin_core::policy::{Piece, Text};
use credpin_core::request::Key;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

/// What the values of a key look like.
pub(super) enum Kind {
    Address,
    Arn,
    Date,
    Text,
}

pub(super) fn kind(key: Key) -> Kind {
    match key {
        Key::SourceIp | Key::VpcSourceIp | Key::Ec2InstanceSourcePrivateIpv4 => Kind::Address,
        Key::SourceInstanceArn | Key::PrincipalArn => Kind::Arn,
        Key::TokenIssueTime => Kind::Date,
        _ => Kind::Text,
    }
}

/// Some values of a key. Addresses that matter depend on the pin; these are the others.
pub(super) fn some_of(key: Key) -> &'static [&'static str] {
    match key {
        Key::SourceIp => &["192.0.2.1", "203.0.113.254", "2001:db8:ffff::1"],
        Key::VpcSourceIp => &["10.0.1.5", "10.0.1.6", "2001:db8:a::6", "2001:DB8:A::6"],
        Key::Ec2InstanceSourcePrivateIpv4 => &["10.0.1.5", "10.0.1.6", "10.0.2.7"],
        Key::SourceVpc | Key::Ec2InstanceSourceVpc => &[
            "vpc-0a",
            "vpc-0b",
            "vpc-0hub",
            "vpc-0",
            "VPC-0A",
            "vpc-0evil",
        ],
        Key::SourceVpce => &["vpce-0a", "vpce-0b"],
        Key::SourceInstanceArn => &[
            "arn:aws:ec2:eu-west-1:111122223333:instance/i-0a",
            "arn:aws:ec2:eu-west-1:111122223333:instance/i-0b",
            "arn:aws-cn:ec2:cn-north-1:444455556666:instance/i-0a",
        ],
        Key::RoleDelivery => &["1.0", "2.0"],
        Key::ViaAwsService => &["false", "true", "False", "TRUE"],
        Key::TokenIssueTime => &[
            "2027-01-15T07:59:59Z",
            "2027-01-15T08:00:00Z",
            "2027-01-15T08:00:01Z",
        ],
        Key::UserId => &[
            "AROAEXAMPLE:i-0a",
            "AROAEXAMPLE:i-0b",
            "AROAOTHER:alice",
            "i-0a",
            "*",
        ],
        Key::PrincipalArn => &[
            "arn:aws:iam::111122223333:role/web",
            "arn:aws:iam::111122223333:role/path/batch",
        ],
    }
}

/// A value in a policy: text, or a variable, or both.
pub(super) fn text(key: Key) -> impl Strategy<Value = Text> {
    let prefix = select(&["AROA", "vpc-0"][..]).prop_map(String::from);
    prop_oneof![
        3 => select(some_of(key)).prop_map(Text::literal),
        2 => variable().prop_map(Text::variable),
        1 => (prefix, variable()).prop_map(ending_in),
    ]
}

/// The same with wildcards.
pub(super) fn pattern(key: Key) -> impl Strategy<Value = Text> {
    let value = select(some_of(key));
    let blurred = (value, vec(any::<u8>(), 0..40)).prop_map(|(value, blur)| blurred(value, &blur));
    prop_oneof![
        1 => text(key),
        3 => blurred.clone().prop_map(Text::literal),
        1 => (blurred, variable()).prop_map(ending_in),
    ]
}

/// An ARN with wildcards, or with a variable where IAM's documentation has one: in the resource.
pub(super) fn arn_pattern(key: Key) -> impl Strategy<Value = Text> {
    let parts = select(some_of(key)).prop_flat_map(|arn| {
        let parts: Vec<&str> = arn.splitn(6, ':').skip(1).collect();
        (vec(0..5_u8, 5), vec(any::<u8>(), 0..20)).prop_map(move |(wild, blur)| {
            let parts = parts.iter().zip(&wild).map(|(part, wild)| match wild {
                0 => "*".to_owned(),
                1 => blurred(part, &blur),
                _ => (*part).to_owned(),
            });
            ["arn".to_owned()]
                .into_iter()
                .chain(parts)
                .collect::<Vec<_>>()
                .join(":")
        })
    });
    let whole = (select(some_of(key)), vec(any::<u8>(), 0..40))
        .prop_map(|(arn, blur)| format!("arn:{}", blurred(&arn["arn:".len()..], &blur)));
    let own = (select(&["*", "*/"][..]), variable())
        .prop_map(|(resource, key)| ending_in((format!("arn:aws:*:*:*:{resource}"), key)));
    prop_oneof![
        4 => parts.prop_map(Text::literal),
        4 => whole.prop_map(Text::literal),
        2 => own,
    ]
}

fn variable() -> impl Strategy<Value = Key> + Clone {
    // Twice as often the one that ARNs may end in.
    prop_oneof![2 => select(Key::all().collect::<Vec<_>>()), 1 => Just(Key::UserId)]
}

fn ending_in((text, variable): (String, Key)) -> Text {
    // Nothing is no piece of a text: it would read back without.
    let text = Some(text).filter(|text| !text.is_empty());
    let pieces = text.map(Piece::Literal).into_iter();
    Text(pieces.chain([Piece::Variable(variable)]).collect())
}

/// `value` with some of its characters made wild or dropped, so that many patterns match it.
fn blurred(value: &str, blur: &[u8]) -> String {
    let blur = blur.iter().chain(std::iter::repeat(&u8::MAX));
    value
        .chars()
        .zip(blur)
        .fold(String::new(), |mut pattern, (c, blur)| {
            match blur {
                0..12 => pattern.push('*'),
                12..24 => pattern.push('?'),
                24..28 => {}
                28..32 => pattern.extend(['*', c]),
                _ => pattern.push(c),
            }
            pattern
        })
}

pub(super) fn vpc() -> impl Strategy<Value = VpcId> {
    select(&["vpc-0a", "vpc-0b", "vpc-0hub"][..])
        .prop_map(|id| id.parse().expect("ids in this file are ids"))
}

pub(super) fn net() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        ipv4_net().prop_map(IpNet::V4),
        ipv6_net().prop_map(IpNet::V6),
    ]
}

/// Prefixes of many lengths around few places, the ends of the space among them.
pub(super) fn ipv4_net() -> impl Strategy<Value = Ipv4Net> {
    let places = [
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::new(10, 0, 1, 0),
        Ipv4Addr::new(127, 255, 255, 255),
        Ipv4Addr::new(198, 51, 100, 0),
        Ipv4Addr::new(203, 0, 113, 0),
        Ipv4Addr::BROADCAST,
    ];
    // Not 1: two of these are joined to the prefix of length 0 that the judge misreads.
    let lengths = [2, 3, 8, 16, 23, 24, 28, 31, 32];
    (
        select(places.to_vec()),
        any::<u8>(),
        select(lengths.to_vec()),
    )
        .prop_map(|(place, host, length)| {
            let address = Ipv4Addr::from(u32::from(place) ^ u32::from(host));
            Ipv4Net::new_assert(address, length).trunc()
        })
}

/// The same in IPv6, where no prefix has an IPv4-mapped address at its ends.
pub(super) fn ipv6_net() -> impl Strategy<Value = Ipv6Net> {
    let places = [
        Ipv6Addr::UNSPECIFIED,
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xcb00, 0x7100),
        Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0),
        Ipv6Addr::new(0x7fff, 0xffff, 0, 0, 0, 0, 0, 0xffff),
        Ipv6Addr::from(u128::MAX),
    ];
    let lengths = [0, 1, 3, 32, 47, 56, 64, 96, 127, 128];
    (
        select(places.to_vec()),
        any::<u8>(),
        select(lengths.to_vec()),
    )
        .prop_map(|(place, host, length)| {
            let address = Ipv6Addr::from(u128::from(place) ^ u128::from(host));
            Ipv6Net::new_assert(address, length).trunc()
        })
}
