//! Held against the evaluator, over statements and calls of a small world.

use proptest::prelude::*;

use super::*;
use crate::{
    evaluate,
    policy::Text,
    policy::arbitrary::{request, statement},
    request::Request,
};

fn denies(statement: &Statement, request: &Request) -> bool {
    let document = Document {
        statements: vec![statement.clone()],
    };
    evaluate::denied_by([&document], request).is_some()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_both_deny_is_just_what_each_of_them_denies(one in statement(true), other in statement(true), calls in prop::collection::vec(request(), 16)) {
        match one.both(&other) {
            Both::This(both) => {
                for call in calls {
                    prop_assert_eq!(denies(&both, &call), denies(&one, &call) && denies(&other, &call), "{:?} of {:?}", call, both);
                }
                let document = Document { statements: vec![both] };
                credpin_witness::note(document.to_json());
            }
            Both::Nothing => for call in calls {
                prop_assert!(!(denies(&one, &call) && denies(&other, &call)), "{:?}", call);
            },
            Both::Unsayable => {}
        }
    }

    #[test]
    fn what_lies_within_another_denies_nothing_that_the_other_does_not(one in statement(true), other in statement(true), calls in prop::collection::vec(request(), 16)) {
        prop_assert!(one.is_within(&one));
        let both = match one.both(&other) {
            Both::This(both) => both,
            _ => one.clone(),
        };
        for (narrow, wide) in [(&one, &other), (&both, &one), (&both, &other)] {
            if narrow.is_within(wide) {
                for call in &calls {
                    prop_assert!(!denies(narrow, call) || denies(wide, call), "{:?}", call);
                }
            }
        }
    }
}

#[test]
fn two_lists_of_a_group_join() {
    let group = |nets: &[&str]| {
        let nets = nets.iter().map(|net| net.parse().unwrap()).collect();
        Statement::deny("PublicVpcA", Actions::AllBut(vec!["es:ES*".into()]))
            .when(Key::SourceVpc, Test::Null(true))
            .when(
                Key::Ec2InstanceSourceVpc,
                Test::StringEquals(vec![Text::literal("vpc-a")]),
            )
            .when(Key::SourceIp, Test::NotIpAddress(nets))
    };
    let (old, new) = (group(&["198.51.100.1/32"]), group(&["198.51.100.9/32"]));
    let joined = group(&["198.51.100.1/32", "198.51.100.9/32"]);
    assert_eq!(old.both(&new), Both::This(joined.clone()));
    assert!(joined.is_within(&old) && joined.is_within(&new));
    assert!(!old.is_within(&joined) && !old.is_within(&new));
}

#[test]
fn groups_of_different_vpcs_deny_nothing_together() {
    let group = |vpc: &str| {
        Statement::deny("S", Actions::AllBut(vec![])).when(
            Key::Ec2InstanceSourceVpc,
            Test::StringEquals(vec![Text::literal(vpc)]),
        )
    };
    assert_eq!(group("vpc-a").both(&group("vpc-b")), Both::Nothing);
}

#[test]
fn of_one_resource_and_every_one_it_is_the_one() {
    let every = Statement::deny("S", Actions::Only(vec!["iam:DetachRolePolicy".into()]));
    let on = |name: &str| {
        let arn = format!("arn:aws:iam::111122223333:role/{name}");
        every.clone().on(vec![arn.parse().unwrap()])
    };
    assert_eq!(every.both(&on("web")), Both::This(on("web")));
    assert_eq!(on("web").both(&on("web")), Both::This(on("web")));
    assert_eq!(on("web").both(&on("api")), Both::Unsayable);
    assert!(on("web").is_within(&every) && !every.is_within(&on("web")));
}
