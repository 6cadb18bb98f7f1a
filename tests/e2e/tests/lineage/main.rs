//! `credpin revoke --lineage` against a thief who goes on making tokens: its own flow, a trail that is
//! late, an IAM that takes its time, and a clock that is simulated.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod world;

use std::collections::BTreeSet;

use anyhow::Result;
use credpin::revoke::lineage::{Ending, Manner, Outcome, end};
use credpin_e2e::{
    judge::{Decision, Fact, Judge, Question, allow_everything},
    tools::Tools,
    trail::{ACCOUNT, incident::A},
};
use jiff::SignedDuration;

use world::{BYSTANDER, Cloud, Front, Held, Kind, World};

const WAIT: SignedDuration = SignedDuration::from_secs(60);

fn manner(watch: bool) -> Manner {
    Manner {
        isolate: false,
        wait: WAIT,
        watch,
    }
}

async fn revoke(world: &World, watch: bool) -> Outcome {
    let mut front = Front::new(world);
    end(&Cloud::new(world), &mut front, manner(watch))
        .await
        .unwrap()
}

fn over() -> Outcome {
    Outcome {
        ending: Ending::Over,
        is_whole: true,
        staying: 0,
    }
}

/// What the judge makes of a call with a key, by what is in force at the end.
async fn decided(
    judge: &Judge,
    world: &World,
    held: &Held,
    call: (&str, &str),
) -> Result<Decision> {
    let (principal, userid) = match &held.kind {
        Kind::LongLived | Kind::Token => (
            format!("arn:aws:iam::{ACCOUNT}:user/ci"),
            "AIDACIEXAMPLE".to_owned(),
        ),
        Kind::Session { role, name } => (
            format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}"),
            format!("AROA{}EXAMPLE:{name}", role.to_uppercase()),
        ),
    };
    let issued = (held.kind != Kind::LongLived).then(|| {
        (
            "aws:TokenIssueTime".to_owned(),
            Fact::from(held.issued.to_string()),
        )
    });
    let userid = ("aws:userid".to_owned(), Fact::from(userid));
    let question = Question {
        policies: [vec![allow_everything()], world.in_force(&held.on())].concat(),
        principal,
        action: call.0.to_owned(),
        resource: call.1.to_owned(),
        context: issued.into_iter().chain([userid]).collect(),
    };
    Ok(judge.judge(&question).await?.decision)
}

const READ: (&str, &str) = ("s3:GetObject", "arn:aws:s3:::loot/file");

/// Every key of the thief is denied by the judge, or made inactive, and nobody else is.
async fn ended(world: &World) -> Result<()> {
    let judge = Judge::start(&Tools::find()?)?;
    for held in world.thiefs() {
        if held.key == A {
            assert!(!world.is_active(A));
            continue;
        }
        let decision = decided(&judge, world, &held, READ).await?;
        assert_eq!(decision, Decision::Denied, "{held:?}");
    }
    for held in world.others() {
        assert!(world.is_active(&held.key));
        let decision = decided(&judge, world, &held, READ).await?;
        assert_eq!(decision, Decision::Allowed, "{held:?}");
    }
    // The user's other key still works, and takes nothing off.
    let bystander = world
        .others()
        .into_iter()
        .find(|held| held.key == BYSTANDER);
    let user = format!("arn:aws:iam::{ACCOUNT}:user/ci");
    for action in [
        "iam:DetachUserPolicy",
        "iam:UpdateAccessKey",
        "iam:CreateAccessKey",
    ] {
        let call = (action, user.as_str());
        let decision = decided(&judge, world, bystander.as_ref().unwrap(), call).await?;
        assert_eq!(decision, Decision::Denied, "{action}");
    }
    Ok(())
}

#[tokio::test]
async fn a_lineage_ends_while_the_thief_goes_on_making_tokens() -> Result<()> {
    let world = World::of_the_incident(1);
    let before = world.thiefs().len();
    assert_eq!(before, 6, "A to F");
    assert_eq!(revoke(&world, true).await, over());

    // It was no idle thief, and the trail was late.
    let late = world.thiefs().len() - before;
    assert!(late >= 10, "{late} keys were made during the revocation");
    assert!(
        world.cuts_by_round().len() >= 3,
        "{:?}",
        world.cuts_by_round()
    );
    let roles: BTreeSet<_> = world
        .thiefs()
        .iter()
        .map(|held| held.on().to_string())
        .collect();
    assert_eq!(roles.len(), 3, "{roles:?}");
    ended(&world).await
}

#[tokio::test]
async fn nobody_else_is_denied_at_any_time() {
    let world = World::of_the_incident(2);
    revoke(&world, true).await;
    assert_eq!(world.bystanders_denied(), Vec::<String>::new());
    assert!(world.asked_for_bystanders() > 100);
}

#[tokio::test]
async fn without_watching_it_says_until_when_a_late_key_may_turn_up() {
    let world = World::of_the_incident(3);
    let outcome = revoke(&world, false).await;
    let Ending::LateUntil(until) = outcome.ending else {
        panic!("{outcome:?}");
    };
    let last = world.last_cut();
    assert!(until >= last + WAIT && until <= last + WAIT + SignedDuration::from_mins(16));
    // Said again later, it finds what was late, and then it is over.
    world.pass(until);
    assert_eq!(revoke(&world, true).await, over());
    ended(&world).await.unwrap();
}

#[tokio::test]
async fn one_that_was_killed_at_any_write_goes_on_where_it_was() {
    for writes in [0, 1, 2, 4] {
        let world = World::of_the_incident(4);
        world.fail_after(writes);
        let mut front = Front::new(&world);
        let cut_short = end(&Cloud::new(&world), &mut front, manner(true)).await;
        assert!(
            !matches!(
                cut_short,
                Ok(Outcome {
                    ending: Ending::Over,
                    ..
                })
            ),
            "{cut_short:?}"
        );
        world.heal();
        assert_eq!(revoke(&world, true).await, over(), "after {writes} writes");
        ended(&world).await.unwrap();
    }
}

#[tokio::test]
async fn one_that_is_stopped_between_rounds_says_so_and_goes_on_when_it_is_said_again() {
    let world = World::of_the_incident(5);
    let mut front = Front::new(&world);
    front.stop_after_pauses(1);
    let outcome = end(&Cloud::new(&world), &mut front, manner(true)).await;
    assert_eq!(outcome.unwrap().ending, Ending::Stopped);
    assert!(!world.is_active(A), "what is cut stays cut");
    assert_eq!(revoke(&world, true).await, over());
    ended(&world).await.unwrap();
}

#[tokio::test]
async fn what_is_only_looked_at_writes_nothing() {
    let world = World::of_the_incident(6);
    let mut front = Front::new(&world);
    front.refuse();
    let outcome = end(&Cloud::new(&world), &mut front, manner(false)).await;
    assert_eq!(outcome.unwrap().ending, Ending::Refused);
    assert_eq!(world.writes(), 0);
    assert!(world.is_active(A));
}

#[tokio::test]
async fn a_key_that_the_trail_does_not_show_is_no_lineage() {
    let world = World::of_the_incident(7);
    let mut front = Front::new(&world).of("ASIANOBODY2222222222");
    let outcome = end(&Cloud::new(&world), &mut front, manner(false)).await;
    assert_eq!(outcome.unwrap().ending, Ending::NoSuchKey);
    assert_eq!(world.writes(), 0);
}
