//! Calls that bear on a document, got from nothing but what it says: for each statement one that it denies, and
//! for each condition of it, for its actions and its resources one that only this lets pass.
//!
//! A condition that somebody reads differently than we do then shows in one of them.

use std::iter::once;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use credpin_core::evaluate::statement_applies;
use credpin_core::policy::{Actions, Piece, Resources, Statement, Test, Text};
use credpin_core::request::{Key, Request};
use ipnet::IpNet;
use jiff::SignedDuration;

/// Actions with what each is done to: of everyday, of the data planes that pins leave alone, and those by
/// which a pin or a cut could be got rid of.
const ACTIONS: [(&str, &str); 34] = [
    ("s3:GetObject", "arn:aws:s3:::loot/object"),
    ("ec2:DescribeInstances", "*"),
    ("es:ESHttpGet", ES),
    ("es:DescribeDomain", ES),
    ("dax:Query", DAX),
    ("sts:AssumeRole", ROLE),
    ("iam:AttachRolePolicy", ROLE),
    ("iam:DeleteRole", ROLE),
    ("iam:DeleteRolePermissionsBoundary", ROLE),
    ("iam:DeleteRolePolicy", ROLE),
    ("iam:DetachRolePolicy", ROLE),
    ("iam:PutRolePermissionsBoundary", ROLE),
    ("iam:PutRolePolicy", ROLE),
    ("iam:TagRole", ROLE),
    ("iam:UpdateAssumeRolePolicy", ROLE),
    ("iam:UpdateRole", ROLE),
    ("iam:CreateAccessKey", USER),
    ("iam:CreateLoginProfile", USER),
    ("iam:CreateServiceSpecificCredential", USER),
    ("iam:DeleteUser", USER),
    ("iam:DeleteUserPolicy", USER),
    ("iam:DetachUserPolicy", USER),
    ("iam:GetUser", USER),
    ("iam:PutUserPolicy", USER),
    ("iam:UpdateAccessKey", USER),
    ("iam:UpdateLoginProfile", USER),
    ("iam:UpdateUser", USER),
    ("iam:CreatePolicyVersion", POLICY),
    ("iam:DeletePolicy", POLICY),
    ("iam:DeletePolicyVersion", POLICY),
    ("iam:GetPolicy", POLICY),
    ("iam:SetDefaultPolicyVersion", POLICY),
    ("iam:TagPolicy", POLICY),
    ("iam:UntagPolicy", POLICY),
];
const ES: &str = "arn:aws:es:eu-west-1:111122223333:domain/logs";
const DAX: &str = "arn:aws:dax:eu-west-1:111122223333:cache/hot";
const ROLE: &str = "arn:aws:iam::111122223333:role/nobodys";
const USER: &str = "arn:aws:iam::111122223333:user/nobodys";
const POLICY: &str = "arn:aws:iam::111122223333:policy/nobodys";

/// Calls that bear on `statement`, the one that it denies first. None for one that denies nothing: its
/// conditions can contradict each other. Of a part of it, in words, for which `is_new` is not so, none.
pub fn calls(statement: &Statement, mut is_new: impl FnMut(String) -> bool) -> Vec<Request> {
    let done = done_to(statement);
    let Some((action, resource)) = done.first() else {
        return Vec::new();
    };
    // Every token of a host says where it was delivered, and what is compared with that needs it.
    let delivered = call(action, resource).with(Key::Ec2InstanceSourceVpc, "vpc-0nobodys");
    let Some(hit) = hit(statement, delivered) else {
        return Vec::new();
    };
    let mut calls = vec![hit.clone()];
    for key in keys(statement) {
        let tests = statement.conditions().filter(|(other, _)| *other == key);
        if is_new(format!("{:?}", tests.collect::<Vec<_>>())) {
            calls.extend(others(statement, key, &hit));
        }
    }
    if is_new(format!("{:?} {:?}", statement.actions, statement.resources)) {
        let others = done[1..].iter();
        let others = others.map(|(action, resource)| call(action, resource));
        let unlike = not_done_to(statement, action, resource);
        let with_values = |request: Request| {
            let values = hit.context();
            values.fold(request, |all, (key, value)| all.with(key, value))
        };
        calls.extend(others.chain(unlike).map(with_values));
    }
    let mut distinct: Vec<Request> = Vec::new();
    for call in calls {
        if !distinct.contains(&call) {
            distinct.push(call);
        }
    }
    distinct
}

/// What an action is done to where a call does not say: something of the right kind that is nobody's.
pub fn usual(action: &str) -> &'static str {
    let mut actions = ACTIONS.iter();
    let found = actions.find(|(other, _)| other.eq_ignore_ascii_case(action));
    found.map_or("*", |(_, usual)| usual)
}

fn call(action: &str, resource: &str) -> Request {
    match resource {
        "*" => Request::new(action),
        resource => Request::new(action).on(resource),
    }
}

/// Actions that `statement` covers, each on something that it covers: each kind of them where it names them.
fn done_to(statement: &Statement) -> Vec<(&'static str, String)> {
    let named = named(&statement.resources);
    let mut unconditional = Statement::deny("A", statement.actions.clone());
    unconditional.resources = statement.resources.clone();
    let mut found = Vec::new();
    for (action, usual) in ACTIONS {
        let kind = kind(usual);
        let own = named.iter().filter(|arn| self::kind(arn) == kind);
        let mut resources = own.cloned().chain(once(usual.to_owned()));
        let covers = |resource: &String| statement_applies(&unconditional, &call(action, resource));
        if let Some(resource) = resources.find(covers) {
            found.push((action, resource));
        }
    }
    if let Actions::AllBut(_) = *statement.actions {
        found.truncate(1);
    }
    found
}

/// A call of an action that `statement` does not cover, and one on what it does not cover.
fn not_done_to(statement: &Statement, action: &str, resource: &str) -> Vec<Request> {
    let mut unconditional = Statement::deny("A", statement.actions.clone());
    unconditional.resources = statement.resources.clone();
    let passes = |request: &Request| !statement_applies(&unconditional, request);
    let (same, other): (Vec<_>, Vec<_>) = ACTIONS
        .into_iter()
        .partition(|(_, usual)| kind(usual) == kind(resource));
    let on_it = same.iter().map(|(action, _)| call(action, resource));
    let elsewhere = other.iter().map(|(action, usual)| call(action, usual));
    let other_action = on_it.chain(elsewhere).find(passes);
    let on_others = same.iter().filter(|(other, _)| *other == action);
    let mut on_others = on_others.map(|(action, usual)| call(action, usual));
    let other_resource = on_others.find(passes);
    other_action.into_iter().chain(other_resource).collect()
}

/// ARNs that the resources of a statement match.
fn named(resources: &Resources) -> Vec<String> {
    match resources {
        Resources::Every => Vec::new(),
        Resources::Only(arns) => arns
            .iter()
            .map(|arn| arn.to_string().replace('*', "x").replace('?', "y"))
            .collect(),
    }
}

/// What an ARN is of: its service and the type of the resource.
fn kind(arn: &str) -> (&str, &str) {
    let part = |number| arn.splitn(6, ':').nth(number).unwrap_or_default();
    (part(2), part(5).split('/').next().unwrap_or_default())
}

/// `request` with values for which every condition of `statement` holds.
fn hit(statement: &Statement, request: Request) -> Option<Request> {
    keys(statement).try_fold(request, |request, key| {
        let condition = only(statement, key);
        let mut values = values(statement, key, &request).into_iter();
        values.find_map(|value| {
            let request = with(&request, key, value.as_deref());
            holds(&condition, &request).then_some(request)
        })
    })
}

/// `hit` with other values of `key`: some for which its conditions do not hold, one for which they still do,
/// and none at all.
fn others(statement: &Statement, key: Key, hit: &Request) -> Vec<Request> {
    let condition = only(statement, key);
    let mut values = values(statement, key, hit);
    let absent = values.pop();
    let calls = values
        .into_iter()
        .map(|value| with(hit, key, value.as_deref()));
    let (hits, mut misses): (Vec<_>, Vec<_>) = calls.partition(|call| holds(&condition, call));
    // The first and the last of a list: each is there for a reason of its own.
    let last = misses.len().saturating_sub(1);
    misses = misses
        .into_iter()
        .enumerate()
        .filter(|(place, _)| [0, last].contains(place))
        .map(|(_, call)| call)
        .collect();
    let hit_too = hits.into_iter().next_back();
    let none = absent.map(|_| with(hit, key, None));
    misses.into_iter().chain(hit_too).chain(none).collect()
}

/// The keys that a statement looks at, those that others are compared with before these.
fn keys(statement: &Statement) -> impl Iterator<Item = Key> {
    let looked_at: Vec<Key> = Key::all()
        .filter(|key| statement.conditions().any(|(other, _)| other == *key))
        .collect();
    let mut keys: Vec<Key> = Vec::new();
    for key in &looked_at {
        keys.extend(variables(statement, *key));
        keys.push(*key);
    }
    let mut seen = Vec::new();
    keys.retain(|key| {
        !seen.contains(key) && {
            seen.push(*key);
            true
        }
    });
    keys.into_iter()
}

/// The keys that the values of `key` are compared with.
fn variables(statement: &Statement, key: Key) -> impl Iterator<Item = Key> {
    let pieces = texts(statement, key).flat_map(|text| &text.0);
    pieces.filter_map(|piece| match piece {
        Piece::Variable(key) => Some(*key),
        Piece::Literal(_) => None,
    })
}

fn texts(statement: &Statement, key: Key) -> impl Iterator<Item = &Text> {
    let conditions = statement
        .conditions()
        .filter(move |(other, _)| *other == key);
    conditions.flat_map(|(_, test)| match test {
        Test::StringEquals(texts)
        | Test::StringNotEquals(texts)
        | Test::StringNotEqualsIfExists(texts)
        | Test::StringLike(texts)
        | Test::ArnEquals(texts) => texts.as_slice(),
        Test::Null(_)
        | Test::BoolIfExists(_)
        | Test::DateLessThan(_)
        | Test::IpAddress(_)
        | Test::NotIpAddress(_)
        | Test::NotIpAddressIfExists(_) => &[],
    })
}

/// The conditions on one key, and no other.
fn only(statement: &Statement, key: Key) -> Statement {
    let everything = Statement::deny("A", Actions::Only(vec!["*".into()]));
    let tests = statement.conditions().filter(|(other, _)| *other == key);
    tests.fold(everything, |one, (key, test)| one.when(key, test.clone()))
}

fn holds(condition: &Statement, request: &Request) -> bool {
    statement_applies(condition, request)
}

/// `request` with this value of `key`, or without one.
fn with(request: &Request, key: Key, value: Option<&str>) -> Request {
    let mut bare = Request::new(&*request.action);
    bare.resource.clone_from(&request.resource);
    let others = request.context().filter(|(other, _)| *other != key);
    let others = others.fold(bare, |all, (key, value)| all.with(key, value));
    match value {
        Some(value) => others.with(key, value),
        None => others,
    }
}

/// Values of `key` at which the statement's conditions could change their mind, and some that it does not
/// speak of; at last none at all.
fn values(statement: &Statement, key: Key, request: &Request) -> Vec<Option<String>> {
    let conditions = statement.conditions().filter(|(other, _)| *other == key);
    let told = conditions.flat_map(|(_, test)| match test {
        Test::IpAddress(nets) | Test::NotIpAddress(nets) | Test::NotIpAddressIfExists(nets) => nets
            .iter()
            .flat_map(edges)
            .map(|it| it.to_string())
            .collect(),
        Test::BoolIfExists(wanted) => vec![wanted.to_string(), (!wanted).to_string()],
        Test::DateLessThan(limit) => [-1, 0, 1]
            .map(|seconds| (*limit + SignedDuration::from_secs(seconds)).to_string())
            .into(),
        // What it is to be is among the values of others, and what texts say comes behind.
        Test::Null(_)
        | Test::StringEquals(_)
        | Test::StringNotEquals(_)
        | Test::StringNotEqualsIfExists(_)
        | Test::StringLike(_)
        | Test::ArnEquals(_) => Vec::new(),
    });
    let texts = texts(statement, key).map(|text| {
        let pieces = text.0.iter().map(|piece| match piece {
            Piece::Literal(text) => text.replace('*', "x").replace('?', "y"),
            Piece::Variable(key) => request.value(*key).unwrap_or_default().to_owned(),
        });
        pieces.collect::<String>()
    });
    let told: Vec<String> = told.chain(texts).filter(|it| !it.is_empty()).collect();
    let others = outside(key).iter().map(|&value| value.to_owned());
    told.into_iter()
        .chain(others)
        .map(Some)
        .chain(once(None))
        .collect()
}

/// Values that no document speaks of.
fn outside(key: Key) -> &'static [&'static str] {
    match key {
        Key::SourceIp | Key::VpcSourceIp | Key::Ec2InstanceSourcePrivateIpv4 => {
            &["192.0.2.77", "192.0.2.78", "2001:db8:ffff:ffff::77"]
        }
        Key::SourceInstanceArn => &["arn:aws:ec2:eu-west-1:111122223333:instance/i-0nobodys"],
        Key::PrincipalArn => &[ROLE],
        Key::TokenIssueTime => &["2020-01-01T00:00:00Z"],
        Key::ViaAwsService => &["false", "true"],
        Key::RoleDelivery => &["2.0"],
        Key::UserId => &["AROANOBODYS:nobody"],
        Key::SourceVpce => &["vpce-0nobodys"],
        Key::SourceVpc | Key::Ec2InstanceSourceVpc => &["vpc-0nobodys", "vpc-0others"],
    }
}

/// The first and the last address of a prefix, and those right before and after it.
pub(crate) fn edges(net: &IpNet) -> Vec<IpAddr> {
    match net {
        IpNet::V4(net) => {
            let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
            [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
                .map(|bits| IpAddr::V4(Ipv4Addr::from(bits)))
                .into()
        }
        IpNet::V6(net) => {
            let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
            [first.wrapping_sub(1), first, last, last.wrapping_add(1)]
                .map(|bits| IpAddr::V6(Ipv6Addr::from(bits)))
                .into()
        }
    }
}
