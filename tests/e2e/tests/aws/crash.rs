//! `credpin apply`, killed with SIGKILL at any call that changes something, before IAM carried it out
//! and after; and then run again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::Result;
use credpin_core::policy::Document;
use credpin_e2e::{
    estate::Extras,
    relay::{Call, Fate},
};
use serde_json::json;
use tokio::sync::Notify;

use crate::world::{ARN, World};

/// What IAM holds when `apply` starts.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// No policy: it is created and attached.
    Nothing,
    /// Five versions, all of them out of date: one is deleted and one made that admits both, and the same
    /// again for the one that is to come.
    FullAndStale,
}

impl Start {
    fn writes(self) -> usize {
        match self {
            Start::Nothing => 2,
            Start::FullAndStale => 4,
        }
    }
}

impl World {
    /// Takes IAM to the start, from a pin in force.
    async fn rewind(&self, start: Start, stale: &str) -> Result<()> {
        self.iam(
            "detach_role_policy",
            json!({"RoleName": "web", "PolicyArn": ARN}),
        )
        .await?;
        for version in self.versions().await {
            if version["IsDefaultVersion"] == false {
                let version = json!({"PolicyArn": ARN, "VersionId": version["VersionId"]});
                self.iam("delete_policy_version", version).await?;
            }
        }
        self.iam("delete_policy", json!({"PolicyArn": ARN})).await?;
        if let Start::FullAndStale = start {
            let tags = json!([
                {"Key": "credpin:managed", "Value": "pin"},
                {"Key": "credpin:role", "Value": "web"},
            ]);
            let policy = json!({"Path": "/credpin/", "PolicyName": "credpin-web", "PolicyDocument": stale, "Tags": tags});
            self.iam("create_policy", policy).await?;
            for _ in 1..5 {
                let version =
                    json!({"PolicyArn": ARN, "PolicyDocument": stale, "SetAsDefault": true});
                self.iam("create_policy_version", version).await?;
            }
            self.iam(
                "attach_role_policy",
                json!({"RoleName": "web", "PolicyArn": ARN}),
            )
            .await?;
        }
        Ok(())
    }

    /// Starts `apply` and kills it when its write number `at` is under way; false if it has fewer.
    async fn applied_until(&self, at: usize, fate: Fate) -> Result<bool> {
        let (writes, reached) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let tell = Arc::clone(&reached);
        self.relay.decide(move |call: &Call| {
            let is_write = ["Create", "Attach", "Delete"]
                .iter()
                .any(|word| call.action.starts_with(word));
            if is_write && writes.fetch_add(1, Ordering::SeqCst) == at {
                tell.notify_one();
                return fate.clone();
            }
            Fate::Pass
        });
        let controller = self.controller(credpin_e2e::controller::ENFORCE_WEB);
        let mut apply = controller.start_on_aws(self.relay.endpoint(), &["apply", "--yes"])?;
        let killed = tokio::select! {
            () = reached.notified() => true,
            ended = apply.wait() => !ended?.success(),
        };
        if killed {
            self.relay.settled().await;
            apply.kill().await?;
        }
        self.relay.decide(|_| Fate::Pass);
        Ok(killed)
    }
}

#[tokio::test]
async fn killed_at_any_call_and_run_again_it_ends_in_the_planned_state() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    world.run(&["run"]).await?.success()?;
    let planned = world.pins("web").await;
    let stale = planned[0]
        .1
        .without_seal()
        .to_json()
        .replace("198.51.100.10/32", "198.51.100.99/32");
    let stale = Document::parse(&stale)?.sealed();
    assert_ne!(stale, planned[0].1);
    let stale = stale.to_json();
    for start in [Start::Nothing, Start::FullAndStale] {
        for fate in [Fate::Hang, Fate::CarryOutAndHang] {
            for at in 0..start.writes() {
                world.rewind(start, &stale).await?;
                assert!(
                    world.applied_until(at, fate.clone()).await?,
                    "{start:?} has so many writes"
                );
                world.run(&["run"]).await?.success()?;
                assert_eq!(
                    world.pins("web").await,
                    planned,
                    "{start:?}, {fate:?} at {at}"
                );
            }
        }
        world.rewind(start, &stale).await?;
        assert!(
            !world.applied_until(start.writes(), Fate::Hang).await?,
            "{start:?} has no more writes"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_write_that_is_refused_is_told_and_the_next_run_makes_it_good() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    world.relay.decide(|call| match call.action.as_str() {
        "AttachRolePolicy" => Fate::Refuse(403, "AccessDenied"),
        _ => Fate::Pass,
    });
    let run = world.run(&["run"]).await?;
    assert_eq!(run.status.code(), Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("AccessDenied") || run.stderr.contains("AccessDenied"));
    assert_eq!(world.pins("web").await, []);
    world.relay.decide(|_| Fate::Pass);
    world.run(&["run"]).await?.success()?;
    assert_eq!(world.pins("web").await.len(), 1);
    Ok(())
}
