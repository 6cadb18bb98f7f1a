//! IAM shows changes late, or not what was written.

use std::sync::atomic::{AtomicUsize, Ordering};

use credpin::{
    apply::{Applied, apply},
    cloud::{Calls, Observation, Observe},
    read_back::read_back,
};
use credpin_core::plan::Plan;
use jiff::Timestamp;

use crate::rig::{self, Account};

/// An IAM that shows the old state for so many looks.
struct Late {
    old: Observation,
    new: Observation,
    looks: AtomicUsize,
    stale_looks: usize,
}

impl Observe for Late {
    async fn observe(&self) -> Observation {
        self.observe_iam().await
    }

    async fn observe_iam(&self) -> Observation {
        let look = self.looks.fetch_add(1, Ordering::Relaxed);
        if look < self.stale_looks {
            self.old.clone()
        } else {
            self.new.clone()
        }
    }

    fn calls(&self) -> Calls {
        Calls::new()
    }
}

async fn written(scenario: &str) -> (Plan, Applied, Late) {
    let account = Account::of(scenario);
    let cloud = account.cloud();
    let plan = rig::plan(&cloud, &account.settings, Timestamp::UNIX_EPOCH)
        .await
        .unwrap()
        .plan;
    let old = cloud.observe_iam().await;
    let applied = apply(&plan, &cloud).await;
    let new = cloud.observe_iam().await;
    (
        plan,
        applied,
        Late {
            old,
            new,
            looks: AtomicUsize::new(0),
            stale_looks: 0,
        },
    )
}

#[tokio::test(start_paused = true)]
async fn a_change_that_shows_late_is_waited_for() {
    for scenario in ["nat", "nat-replaced", "operator"] {
        let (plan, applied, iam) = written(scenario).await;
        let iam = Late {
            stale_looks: 3,
            ..iam
        };
        assert_eq!(read_back(&plan, &applied, &iam).await, [], "{scenario}");
        assert_eq!(iam.looks.load(Ordering::Relaxed), 4, "{scenario}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_never_shows_is_told() {
    for (scenario, what) in [
        ("nat", "there is no such policy"),
        ("nat-replaced", "another document is in force"),
        ("operator", "the policy is still attached"),
    ] {
        let (plan, applied, iam) = written(scenario).await;
        let iam = Late {
            stale_looks: usize::MAX,
            ..iam
        };
        let told = read_back(&plan, &applied, &iam).await;
        assert_eq!(told.len(), 1, "{scenario}: {told:?}");
        assert_eq!(told[0].what, what, "{scenario}");
    }
}

#[tokio::test]
async fn where_nothing_was_written_nobody_is_asked() {
    let (plan, applied, iam) = written("public-hosts").await;
    assert_eq!(read_back(&plan, &applied, &iam).await, []);
    assert_eq!(iam.looks.load(Ordering::Relaxed), 0);
}
