//! What pins admit, as hosts read it.

use std::{fs, path::Path, time::Duration};

use credpin::{Planned, Run, apply::Applied, cloud::Calls, flow::carry_out, publish::Publisher};
use credpin_core::{plan::Plan, settings::Propagation};
use credpin_ledger::{Access, Admission, Host, Reach, RecordStore, StoreUrl};
use jiff::{Timestamp, ToSpan};
use tempfile::TempDir;

use crate::rig::{self, Account};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const ACCOUNT: &str = "123456789012";

struct Published {
    account: Account,
    store: RecordStore,
    dir: TempDir,
}

impl Published {
    fn new(scenario: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = StoreUrl::Directory(dir.path().to_owned());
        Self {
            account: Account::of(scenario),
            store: RecordStore::open(&url, &Access::default()).unwrap(),
            dir,
        }
    }

    async fn planned(&self) -> Planned {
        let cloud = self.account.cloud();
        rig::plan(&cloud, &self.account.settings, NOW)
            .await
            .unwrap()
    }

    fn publisher<'a>(&'a self, planned: &'a Planned) -> Publisher<'a> {
        Publisher {
            store: &self.store,
            estate: &planned.estate,
            settings: &self.account.settings,
            now: NOW,
        }
    }

    /// A whole run; how many objects were written before and after its steps.
    async fn run(&self) -> (usize, usize) {
        self.run_at(NOW).await
    }

    async fn run_at(&self, now: Timestamp) -> (usize, usize) {
        let planned = self.planned().await;
        let mut publisher = self.publisher(&planned);
        publisher.now = now;
        let before = publisher.before(&planned.plan).await.unwrap();
        let run = carry_out(planned.plan.clone(), &self.account.cloud()).await;
        (before, publisher.after(&run).await.unwrap())
    }

    fn object(&self, role: &str) -> std::path::PathBuf {
        self.dir.path().join(Admission::name(ACCOUNT, role))
    }

    fn admission(&self, role: &str) -> Admission {
        Admission::read(&fs::read(self.object(role)).unwrap(), ACCOUNT, role).unwrap()
    }

    fn admits(&self, role: &str, subnet: &str) -> bool {
        let host = Host {
            instance_id: "i-0new".into(),
            subnet: Some(subnet.into()),
            private_ipv4s: vec!["10.0.1.77".parse().unwrap()],
            ..Host::default()
        };
        let reach = Reach {
            interfaces: 1,
            delegated: Vec::new(),
        };
        self.admission(role).admits(&host, &reach)
    }
}

/// Takes the gateway's address from it, and gives it another.
fn replace_gateway(account: &Path) {
    let file = account.join("eu-west-1/describe-nat-gateways.json");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("198.51.100.7"), "{text}");
    fs::write(&file, text.replace("198.51.100.7", "198.51.100.77")).unwrap();
}

#[tokio::test]
async fn a_run_publishes_whom_each_pin_admits_and_writes_it_once() {
    let world = Published::new("nat");
    // Of web it is said at once: until its pin is there, all are admitted. Then of batch.
    assert_eq!(world.run().await, (1, 2));
    assert!(world.admission("web").pinned);
    assert!(world.admits("web", "subnet-0prv"));
    assert!(!world.admits("web", "subnet-0other"));
    assert!(!world.admission("batch").pinned, "it is only observed");
    assert!(world.admits("batch", "subnet-0other"));
    assert_eq!(world.run().await, (0, 0), "nothing has changed");
}

#[tokio::test]
async fn what_has_not_changed_is_written_anew_once_a_day() {
    let world = Published::new("nat");
    // Of web before its steps, and after them of both, for the first time.
    assert_eq!(world.run().await, (1, 2));
    assert_eq!(world.run_at(NOW + 23.hours()).await, (0, 0));
    assert_eq!(world.run_at(NOW + 24.hours()).await, (0, 2));
    assert_eq!(world.admission("web").made, NOW + 24.hours());
    assert!(world.admits("web", "subnet-0prv"));
    assert_eq!(world.run_at(NOW + 47.hours()).await, (0, 0));
}

#[tokio::test]
async fn an_object_that_somebody_took_away_is_written_again() {
    let world = Published::new("nat");
    world.run().await;
    fs::remove_file(world.object("web")).unwrap();
    assert_eq!(world.run().await, (0, 1));
    assert!(world.admits("web", "subnet-0prv"));
}

#[tokio::test]
async fn until_iam_shows_a_wider_pin_only_what_both_admit_is_said() {
    let world = Published::new("nat");
    world.run().await;
    replace_gateway(world.account.path());
    // The gateway's new address is in no pin yet, so a host behind it is not admitted by both.
    let planned = world.planned().await;
    assert!(planned.plan.steps().next().is_some());
    let publisher = world.publisher(&planned);
    assert_eq!(publisher.before(&planned.plan).await.unwrap(), 1);
    assert!(!world.admits("web", "subnet-0prv"));
    let run = carry_out(planned.plan.clone(), &world.account.cloud()).await;
    assert_eq!(publisher.after(&run).await.unwrap(), 1);
    assert!(world.admits("web", "subnet-0prv"));
}

#[tokio::test]
async fn what_is_said_waits_for_iam_where_something_was_written_of_late() {
    let mut world = Published::new("nat");
    world.account.settings.propagation = Propagation::of_seconds(40);
    let planned = world.planned().await;
    let publisher = world.publisher(&planned);
    let run = |plan: &Plan| Run {
        plan: plan.clone(),
        applied: Applied::default(),
        unconfirmed: Vec::new(),
        calls: Calls::default(),
    };
    assert_eq!(publisher.wait(&run(&planned.plan)), Duration::from_secs(40));
    let mut nothing = planned.plan.clone();
    nothing.roles.iter_mut().for_each(|role| role.steps.clear());
    assert_eq!(publisher.wait(&run(&nothing)), Duration::ZERO);
}

#[tokio::test]
async fn a_role_that_stopped_on_the_way_is_said_nothing_new_of() {
    let world = Published::new("nat");
    let planned = world.planned().await;
    let publisher = world.publisher(&planned);
    publisher.before(&planned.plan).await.unwrap();
    let before = fs::read(world.object("web")).unwrap();
    let cloud = world.account.cloud();
    let mut run = carry_out(planned.plan.clone(), &cloud).await;
    let role = "web".parse().unwrap();
    run.applied.released_meanwhile.push(role);
    publisher.after(&run).await.unwrap();
    assert_eq!(fs::read(world.object("web")).unwrap(), before);
}

#[tokio::test]
async fn of_a_view_with_gaps_nothing_is_said() {
    let world = Published::new("incomplete");
    assert_eq!(world.run().await, (0, 0));
    assert!(!world.dir.path().join("pins").exists());
}

#[tokio::test]
async fn the_hosts_of_a_role_are_told_by_a_name_in_the_account_that_is_theirs() {
    let world = Published::new("nat");
    world.run().await;
    let moved = fs::read(world.object("web")).unwrap();
    assert!(Admission::read(&moved, ACCOUNT, "batch").is_err());
    assert!(Admission::read(&moved, "999988887777", "web").is_err());
}
