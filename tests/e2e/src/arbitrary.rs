//! Random pins, and random calls that meet them at their edges.
//!
//! Pins are the planner's own, of random footprints; about half of their statements are then bent, so
//! that every operator meets every kind of key. What the judge is known to misread
//! (`judge/semantics.json`) does not come up, but for variables without a value, which have to:
//! no IPv4 prefix of length 0, no address that is none, no address with a dotted quad inside IPv6.

mod call;
mod value;

use std::collections::BTreeSet;
use std::sync::Arc;

use credpin_core::footprint::{Footprint, Group};
use credpin_core::pin;
use credpin_core::policy::{Actions, Document, Resources, Statement, Test};
use credpin_core::request::{Key, Request};
use credpin_core::settings::Settings;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::weighted;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{select, subsequence};

pub use call::call;

/// A pin, and a call that it decides on.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is in force.
    pub document: Document,
    /// What is asked.
    pub request: Request,
    /// What the call is made on. The pin does not look at it; a judge that knows the action does.
    pub resource: String,
}

/// A bent pin and a call of it.
pub fn case() -> impl Strategy<Value = Case> {
    bent_pin().prop_flat_map(|document| {
        let call = call(&document);
        (Just(document), call).prop_map(|(document, (request, resource))| Case {
            document,
            request,
            resource,
        })
    })
}

/// A pin as the planner writes it.
pub fn pin() -> impl Strategy<Value = Document> {
    let egress = btree_set(value::net(), 0..4);
    let footprint = (
        btree_map(value::vpc(), egress, 1..3),
        btree_set(value::ipv4_net(), 0..3),
        btree_set(value::ipv6_net(), 0..3),
    );
    let hubs = weighted(0.5, btree_set(value::vpc(), 0..2));
    let group = (
        btree_set(value::ipv4_net(), 1..3),
        btree_set(value::net(), 0..3),
    );
    let settings = (hubs, any::<bool>(), any::<bool>());
    (footprint, weighted(0.5, group), settings).prop_map(|(footprint, group, settings)| {
        let (egress, more_private_ipv4, private_ipv6) = footprint;
        let (hub_vpcs, pin_derived, self_defence) = settings;
        // The first VPC is divided, now and then.
        let groups = egress
            .iter()
            .zip(group)
            .map(|((vpc, rest), (private, public))| {
                let some = Group {
                    number: 1,
                    private,
                    public,
                };
                let rest = Group {
                    public: rest.clone(),
                    ..Group::default()
                };
                (vpc.clone(), vec![some, rest])
            });
        let role = "arn:aws:iam::111122223333:role/web";
        let footprint = Footprint {
            role: Some(role.parse().expect("it is an ARN")),
            groups: groups.collect(),
            egress,
            more_private_ipv4,
            private_ipv6,
            ..Footprint::default()
        };
        let settings = Settings {
            hub_vpcs,
            pin_derived,
            self_defence,
            ..Settings::default()
        };
        pin::of(&footprint, &settings)
    })
}

/// A pin of which some statements are not as the planner writes them, and some statements of one
/// condition each, whose outcome no other condition can hide.
pub fn bent_pin() -> impl Strategy<Value = Document> {
    let bent = pin().prop_flat_map(|pin| {
        let statements = pin.statements.into_iter().map(maybe_bent);
        statements.collect::<Vec<_>>()
    });
    (bent, vec(condition(), 3)).prop_map(|(mut statements, conditions)| {
        let single = (1..).zip(conditions).map(|(number, (key, test))| {
            let everything = Actions::Only(vec!["*".into()]);
            Statement::deny(format!("Single{number}"), everything).when(key, test)
        });
        statements.extend(single);
        Document { statements }
    })
}

fn maybe_bent(statement: Statement) -> impl Strategy<Value = Statement> {
    let bent = bent(&statement);
    prop_oneof![Just(statement), bent]
}

/// The statement with conditions kept, lost, changed and added, and sometimes other actions.
fn bent(statement: &Statement) -> impl Strategy<Value = Statement> + use<> {
    let sid = statement.sid.clone();
    let kept = statement
        .conditions()
        .map(|(key, test)| {
            prop_oneof![
                6 => Just(Some((key, test.clone()))),
                1 => Just(None),
                2 => test_of(key).prop_map(move |test| Some((key, test))),
            ]
        })
        .collect::<Vec<_>>();
    let added = vec(condition(), 0..3);
    let actions =
        prop_oneof![3 => Just(statement.actions.clone()), 1 => actions().prop_map(Arc::new)];
    let resources = prop_oneof![3 => Just(Resources::Every), 1 => resources()];
    (kept, added, actions, resources).prop_map(move |(kept, added, actions, resources)| {
        let mut bent = Statement::deny(&sid, actions);
        bent.resources = resources;
        let conditions = kept.into_iter().flatten().chain(added);
        conditions.fold(bent, |bent, (key, test)| bent.when(key, test))
    })
}

fn condition() -> impl Strategy<Value = (Key, Test)> {
    let keys: Vec<Key> = Key::all().collect();
    select(keys).prop_flat_map(|key| test_of(key).prop_map(move |test| (key, test)))
}

/// A test that `key` can be put to, given what its values are.
fn test_of(key: Key) -> impl Strategy<Value = Test> {
    let texts = || vec(value::text(key), 1..4);
    let of_any_key = prop_oneof![
        any::<bool>().prop_map(Test::Null),
        any::<bool>().prop_map(Test::BoolIfExists),
        texts().prop_map(Test::StringEquals),
        texts().prop_map(Test::StringNotEquals),
        texts().prop_map(Test::StringNotEqualsIfExists),
        vec(value::pattern(key), 1..4).prop_map(Test::StringLike),
    ];
    let nets = || vec(value::net(), 1..4);
    let of_its_kind = match value::kind(key) {
        value::Kind::Address => prop_oneof![
            nets().prop_map(Test::IpAddress),
            nets().prop_map(Test::NotIpAddress),
            nets().prop_map(Test::NotIpAddressIfExists),
        ]
        .boxed(),
        value::Kind::Arn => vec(value::arn_pattern(key), 1..4)
            .prop_map(Test::ArnEquals)
            .boxed(),
        value::Kind::Date => select(value::some_of(key))
            .prop_map(|time| Test::DateLessThan(time.parse().expect("a time, as they all are")))
            .boxed(),
        value::Kind::Text => Just(Test::BoolIfExists(false)).boxed(),
    };
    prop_oneof![1 => of_any_key, 2 => of_its_kind]
}

fn actions() -> impl Strategy<Value = Actions> {
    let patterns = subsequence(
        vec![
            "*",
            "dynamodb:*",
            "DynamoDB:list*",
            "s3:Get*",
            "S3:getobject",
            "s3:?etObject",
            "sqs:Send*ge",
            "es:*",
            "es:ES*",
            "ec2:Describe",
        ],
        1..4,
    );
    (any::<bool>(), patterns).prop_map(|(only, patterns)| {
        let patterns = patterns.into_iter().map(String::from).collect();
        if only {
            Actions::Only(patterns)
        } else {
            Actions::AllBut(patterns)
        }
    })
}

fn resources() -> impl Strategy<Value = Resources> {
    let patterns = subsequence(
        vec![
            "arn:aws:s3:::loot/*",
            "arn:aws:s3:::*",
            "arn:aws:s3:::loot/?/file",
            "arn:aws:sqs:eu-west-1:111122223333:que*",
            "arn:aws:sqs:eu-west-1:444455556666:queue",
            "arn:aws:es:eu-west-1:111122223333:domain/logs",
            "arn:aws:dax:eu-west-1:111122223333:cache/*",
        ],
        1..4,
    );
    patterns.prop_map(|patterns| {
        let parsed = patterns.into_iter().map(str::parse);
        let arns = parsed.map(|arn| arn.expect("an ARN, as they all are"));
        Resources::Only(arns.collect())
    })
}

/// Every prefix that a document names.
fn nets_of(document: &Document) -> BTreeSet<ipnet::IpNet> {
    document
        .statements
        .iter()
        .flat_map(Statement::conditions)
        .flat_map(|(_, test)| match test {
            Test::IpAddress(nets) | Test::NotIpAddress(nets) | Test::NotIpAddressIfExists(nets) => {
                nets.as_slice()
            }
            _ => &[],
        })
        .copied()
        .collect()
}
