//! Several accounts from one job: roles that are assumed, failures that stay their own, state in S3.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use credpin::state::{self, Lock};
use credpin_core::replayed::{Replayed, Replays};
use credpin_e2e::{
    account::Account,
    controller::{Controller, ENFORCE_WEB},
    estate::{Estate, Extras},
    relay::Fate,
};
use credpin_ledger::{Access, RecordStore};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::World;

/// moto's own, that the job's credentials are of.
pub(crate) const FIRST: &str = "123456789012";
pub(crate) const SECOND: &str = "222222222222";
const BUCKET: &str = "credpin-state";

/// Two accounts of moto's, each with the estate in it, and an empty bucket in the first.
pub(crate) struct Organisation {
    pub(crate) world: World,
    pub(crate) second: Account,
}

impl Organisation {
    pub(crate) async fn build() -> Result<Self> {
        let world = World::build(Extras::default()).await?;
        let credentials = world.account.credentials_in(SECOND).await?;
        let (tools, moto) = (&world.tools, &world.moto);
        Estate::build_as(tools, moto, Extras::default(), &credentials).await?;
        let second = Account::sign_in_as(tools, moto, &credentials)?;
        let place = json!({"LocationConstraint": "eu-central-1"});
        let request = json!({"Bucket": BUCKET, "CreateBucketConfiguration": place});
        let s3 = world
            .account
            .call("s3", "eu-central-1", "create_bucket", request);
        s3.await?;
        Ok(Self { world, second })
    }

    /// Where the job keeps its state.
    fn state(&self) -> String {
        let endpoint = self.world.moto.endpoint();
        format!("s3://{BUCKET}/fleet?region=eu-central-1&endpoint={endpoint}&sts=off")
    }

    /// The same, to be looked into and written by hand.
    fn store(&self) -> RecordStore {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let access = Access::Variables(variables.to_vec());
        RecordStore::open(&self.state().parse().unwrap(), &access).unwrap()
    }

    /// A job for both, which keeps its state in the bucket.
    fn controller(&self) -> Controller {
        self.controller_that(ENFORCE_WEB)
    }

    /// The same with these settings.
    fn controller_that(&self, settings: &str) -> Controller {
        let state = self.state();
        // One after the other, so that tests can tell which comes next.
        self.world.controller(&format!(
            "state = \"{state}\"\nconcurrency = 1\n{settings}\
             [[account]]\nid = \"{FIRST}\"\n\
             [[account]]\nid = \"{SECOND}\"\nrole = \"credpin-controller\"\nexternal-id = \"of-credpin\"\n"
        ))
    }

    /// What it prints for machines, where it ends with `code`.
    async fn json(&self, code: i32, arguments: &[&str]) -> Result<Value> {
        let endpoint = self.world.relay.endpoint();
        let run = self.controller().on_aws(endpoint, arguments).await?;
        assert_eq!(
            run.status.code(),
            Some(code),
            "{}{}",
            run.stdout,
            run.stderr
        );
        Ok(serde_json::from_str(&run.stdout)?)
    }

    async fn pins_of_second(&self) -> Result<Vec<String>> {
        let policies = self.second.role_policies("web").await?;
        Ok(policies.into_iter().map(|policy| policy.name).collect())
    }

    /// The names of the objects in the bucket.
    async fn objects(&self) -> Result<Vec<String>> {
        let listed = self
            .world
            .account
            .call(
                "s3",
                "eu-central-1",
                "list_objects_v2",
                json!({"Bucket": BUCKET}),
            )
            .await?;
        let objects = listed["Contents"].as_array().cloned().unwrap_or_default();
        let keys = objects.iter().filter_map(|object| object["Key"].as_str());
        Ok(keys.map(str::to_owned).collect())
    }
}

#[tokio::test]
async fn a_run_pins_each_account_with_that_accounts_own_role() -> Result<()> {
    let all = Organisation::build().await?;
    let run = all.json(0, &["run", "--json"]).await?;
    assert_eq!(all.world.pins("web").await.len(), 1);
    assert_eq!(
        all.pins_of_second().await?,
        [format!("arn:aws:iam::{SECOND}:policy/credpin/credpin-web")]
    );
    assert_eq!(run["accounts"][1]["account"], SECOND);
    // Calls of both accounts, and of each.
    let made = |value: &Value| value["calls"]["CreatePolicy"].clone();
    assert_eq!(made(&run), 2, "{run}");
    assert_eq!(made(&run["accounts"][0]["result"]), 1, "{run}");
    // A role is assumed once, however many clients use it, and that is counted too.
    assert_eq!(run["calls"]["AssumeRole"], 1, "{run}");

    let again = all.json(0, &["run", "--json"]).await?;
    assert_eq!(again["calls"]["CreatePolicy"], Value::Null, "{again}");
    Ok(())
}

/// An organisation in moto: its root, a unit in a unit, and accounts in both, of which some are in no unit.
async fn organization(account: &Account) -> Result<(String, String, Vec<String>)> {
    let ask = |call: &'static str, request: Value| {
        account.call("organizations", "us-east-1", call, request)
    };
    ask("create_organization", json!({"FeatureSet": "ALL"})).await?;
    let roots = ask("list_roots", json!({})).await?;
    let root = roots["Roots"][0]["Id"].as_str().unwrap().to_owned();
    let unit = |parent: String, name: &'static str| async move {
        let request = json!({"ParentId": parent, "Name": name});
        let made = ask("create_organizational_unit", request).await?;
        let id = made["OrganizationalUnit"]["Id"].as_str().unwrap();
        Ok::<_, anyhow::Error>(id.to_owned())
    };
    let outer = unit(root.clone(), "outer").await?;
    let inner = unit(outer.clone(), "inner").await?;
    let mut inside = Vec::new();
    // More than a page of them.
    for number in 0..23 {
        let request = json!({"AccountName": "a", "Email": format!("{number}@example.com")});
        let made = ask("create_account", request).await?;
        let id = made["CreateAccountStatus"]["AccountId"].as_str().unwrap();
        if number < 2 {
            let to = [&outer, &inner][number];
            let request =
                json!({"AccountId": id, "SourceParentId": root, "DestinationParentId": to});
            ask("move_account", request).await?;
            inside.push(id.to_owned());
        }
    }
    inside.sort();
    Ok((root, outer, inside))
}

#[tokio::test]
async fn the_accounts_of_an_organisation_are_asked_for_page_by_page_and_counted() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    let (_, outer, inside) = organization(&world.account).await?;
    let observe = async |more: &str| {
        let config = format!("{ENFORCE_WEB}[organization]\nrole = \"credpin\"\n{more}\n");
        let controller = world.controller(&config);
        let run = controller.on_aws(world.relay.endpoint(), &["plan", "--json"]);
        let run = run.await?;
        let plan: Value = serde_json::from_str(&run.stdout)?;
        let accounts = plan["accounts"].as_array().unwrap();
        let ids: Vec<String> = accounts
            .iter()
            .map(|account| account["account"].as_str().unwrap().to_owned())
            .collect();
        Ok::<_, anyhow::Error>((ids, plan["calls"].clone()))
    };
    let (all, calls) = observe("").await?;
    assert_eq!(all.len(), 24, "the management account too: {all:?}");
    assert!(all.contains(&FIRST.to_owned()), "{all:?}");
    assert_eq!(calls["ListAccounts"], 2, "two pages: {calls}");

    let units = format!("parents = [\"{outer}\"]");
    let (below, calls) = observe(&units).await?;
    assert_eq!(below, inside, "in the unit, and in that below it");
    assert_eq!(calls["ListAccountsForParent"], 2, "{calls}");

    let but = format!("{units}\nexcept = [\"{}\"]", inside[0]);
    assert_eq!(observe(&but).await?.0, inside[1..]);
    Ok(())
}

#[tokio::test]
async fn an_organisation_that_does_not_tell_is_an_error_and_nothing_is_done() -> Result<()> {
    let world = World::build(Extras::default()).await?;
    organization(&world.account).await?;
    // The second page does not come: the first alone would leave accounts without a word.
    world
        .relay
        .decide(|call| match (call.action.as_str(), call.next_page) {
            ("ListAccounts", true) => Fate::Refuse(400, "AccessDeniedException"),
            _ => Fate::Pass,
        });
    let config =
        format!("{ENFORCE_WEB}[organization]\nrole = \"credpin\"\n[[account]]\nid = \"{FIRST}\"\n");
    let controller = world.controller(&config);
    let endpoint = world.relay.endpoint();
    let run = controller.on_aws(endpoint, &["run"]).await?;
    assert_eq!(run.status.code(), Some(1), "{}", run.stderr);
    let why = "cannot list the organisation's accounts: ListAccounts: AccessDeniedException";
    assert!(run.stderr.contains(why), "{}", run.stderr);
    assert_eq!(world.writes(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn an_account_whose_role_cannot_be_assumed_fails_alone() -> Result<()> {
    let all = Organisation::build().await?;
    all.world.relay.decide(|call| match call.action.as_str() {
        "AssumeRole" => Fate::Refuse(403, "AccessDenied"),
        _ => Fate::Pass,
    });
    let run = all.json(4, &["run", "--json"]).await?;
    assert_eq!(all.world.pins("web").await.len(), 1, "the other goes on");
    assert_eq!(all.pins_of_second().await?, [""; 0]);
    let error = run["accounts"][1]["error"].as_str().unwrap();
    let role = format!("cannot act as arn:aws:iam::{SECOND}:role/credpin-controller: ");
    assert!(error.starts_with(&role), "{error}");
    assert!(error.contains("its trust policy must name"), "{error}");
    Ok(())
}

#[tokio::test]
async fn whose_a_key_is_aws_is_asked_where_no_host_recorded_it() -> Result<()> {
    let all = Organisation::build().await?;
    let request = json!({"UserName": "alice"});
    let second = |call: &'static str| all.second.call("iam", "us-east-1", call, request.clone());
    second("create_user").await?;
    let key = second("create_access_key").await?;
    let key = key["AccessKey"]["AccessKeyId"].as_str().unwrap();
    let cut = all.json(2, &["revoke", key, "--json"]).await?;
    assert!(cut.to_string().contains("alice"), "{cut}");

    all.world.relay.decide(|call| match call.action.as_str() {
        "GetAccessKeyInfo" => Fate::Refuse(403, "AccessDenied"),
        _ => Fate::Pass,
    });
    let endpoint = all.world.relay.endpoint();
    let told = all.controller().on_aws(endpoint, &["revoke", key]).await?;
    assert_eq!(told.status.code(), Some(64), "{}", told.stderr);
    let why = "AWS does not say whose";
    assert!(told.stderr.contains(why), "{}", told.stderr);
    Ok(())
}

#[tokio::test]
async fn credentials_of_one_account_are_not_taken_for_anothers() -> Result<()> {
    let all = Organisation::build().await?;
    let config = format!("{ENFORCE_WEB}[[account]]\nid = \"{SECOND}\"\n");
    let controller = all.world.controller(&config);
    let run = controller
        .on_aws(all.world.relay.endpoint(), &["run"])
        .await?;
    assert_eq!(run.status.code(), Some(1), "{}{}", run.stdout, run.stderr);
    let why = format!("the credentials are those of account {FIRST}, not {SECOND}");
    assert!(run.stdout.contains(&why), "{}", run.stdout);
    assert_eq!(all.world.writes(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn state_in_s3_holds_the_lock_the_last_runs_and_the_replays_of_each_account() -> Result<()> {
    let all = Organisation::build().await?;
    all.json(0, &["run", "--json"]).await?;
    let mut expected = vec!["fleet/state/v1/accounts/0-of-1.json".to_owned()];
    for account in [FIRST, SECOND] {
        let folder = format!("fleet/account={account}/state/v1");
        expected.push(format!("{folder}/last-run.json"));
        expected.push(format!("{folder}/lock/000000000001.json"));
    }
    expected.sort();
    assert_eq!(all.objects().await?, expected);

    // What they kept is enough: AWS is not asked.
    all.world.relay.take_calls();
    let status = all.json(0, &["status", "--json"]).await?;
    assert_eq!(status["accounts"][SECOND]["run"]["plan"]["create"], 1);
    let one = all
        .json(0, &["status", "--json", "--account", SECOND])
        .await?;
    assert!(one.to_string().contains("\"pin\":\"in_force\""), "{one}");
    assert_eq!(all.world.relay.take_calls(), []);
    Ok(())
}

#[tokio::test]
async fn what_a_replay_of_one_account_said_lets_no_other_account_be_pinned() -> Result<()> {
    let all = Organisation::build().await?;
    let mut replays = Replays::default();
    replays.add(Replayed {
        chained: false,
        role: "web".parse()?,
        made: Timestamp::UNIX_EPOCH,
        calls: 7,
        denied: 0,
        unknown: 0,
    });
    let second = state::within(&all.store(), &SECOND.parse()?);
    state::keep_replays(&second, &replays).await?;

    let settings = ENFORCE_WEB.replace("without-replay = true", "replay-max-age = \"9999999h\"");
    let controller = all.controller_that(&settings);
    let endpoint = all.world.relay.endpoint();
    let run = controller.on_aws(endpoint, &["run"]).await?;
    assert_eq!(run.status.code(), Some(3), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("[replay]"), "{}", run.stdout);
    assert_eq!(all.world.pins("web").await, []);
    assert_eq!(all.pins_of_second().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn of_runs_that_begin_at_the_same_moment_one_gets_the_lock_in_s3() -> Result<()> {
    let all = Organisation::build().await?;
    let store = all.store();
    for round in 1..=3 {
        let mut takers = JoinSet::new();
        for taker in 0..8 {
            let store = store.clone();
            takers.spawn(async move {
                Lock::take(&store, &taker.to_string(), Timestamp::UNIX_EPOCH).await
            });
        }
        let taken = takers.join_all().await;
        let mut got: Vec<Lock> = taken.into_iter().filter_map(Result::ok).collect();
        assert_eq!(got.len(), 1, "round {round}");
        got.remove(0).release().await?;
    }
    let numbers: BTreeSet<String> = store.names_in("state/v1/lock").await?.into_iter().collect();
    assert_eq!(numbers, BTreeSet::from(["000000000003.json".to_owned()]));
    Ok(())
}

#[tokio::test]
async fn while_a_run_has_an_accounts_lock_in_s3_no_other_run_writes_there() -> Result<()> {
    let all = Organisation::build().await?;
    // The first run hangs where it is about to write to the second account.
    let mut written = 0;
    all.world.relay.decide(move |call| {
        written += usize::from(call.action == "CreatePolicy");
        match (call.action.as_str(), written) {
            ("CreatePolicy", 2) => Fate::Hang,
            _ => Fate::Pass,
        }
    });
    let first = all.controller();
    let mut first = first.start_on_aws(all.world.relay.endpoint(), &["run"])?;
    tokio::select! {
        () = all.world.relay.settled() => {}
        ended = first.wait() => bail!("it did not come to write: {:?}", ended?),
    }

    all.world.relay.decide(|_| Fate::Pass);
    let run = all.json(4, &["run", "--json"]).await?;
    assert_eq!(
        run["accounts"][0]["exit"], 0,
        "its lock was given back: {run}"
    );
    let error = run["accounts"][1]["error"].as_str().unwrap();
    assert!(
        error.contains("another run is under way: process"),
        "{error}"
    );
    assert_eq!(all.pins_of_second().await?, [""; 0]);
    first.kill().await?;
    Ok(())
}
