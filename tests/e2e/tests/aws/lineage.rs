//! `credpin revoke KEY --cloudtrail …`, the binary: the writes in moto's IAM, by a trail of moto's account.

use anyhow::{Context, Result};
use credpin_e2e::{
    estate::Extras,
    judge::Judge,
    process::Finished,
    trail::{ACCOUNT, Call, Caller, Trail, incident::THIEF},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    revoke::{AFTER, READ, denied},
    world::World,
};

const B: &str = "ASIALINEAGEB22222222";
const C: &str = "ASIALINEAGEC22222222";
const D: &str = "ASIALINEAGED22222222";

/// alice's key A, which made B and, as session `deploy` of role ci, C; B made D of the same.
struct Theft {
    world: World,
    a: String,
    ci: String,
    issued: String,
    folder: TempDir,
}

impl Theft {
    async fn build() -> Result<Self> {
        let world = World::build(Extras::default()).await?;
        let a = world.alice().await?;
        let ci = world.ci().await?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the binary reads the clock, and tokens have to be alive"
        )]
        let begin = Timestamp::now() - SignedDuration::from_mins(20);
        let at = |minutes| begin + SignedDuration::from_mins(minutes);
        let mut trail = Trail::new(7);
        let alice = Caller::user("alice", &a);
        let token = Caller::user("alice", B).issued(at(0));
        let call = |who: &Caller, name| Call::new(who, "sts", name, THIEF);
        trail.add(
            at(0),
            call(&alice, "GetSessionToken").hands_out(B, at(0), 129_600),
        );
        for (minute, who, key) in [(1, &alice, C), (2, &token, D)] {
            let assume = call(who, "AssumeRole").hands_out(key, at(minute), 3600);
            trail.add(at(minute), assume.of_role("ci", "deploy"));
            let session = Caller::session("ci", "deploy", key).issued(at(minute));
            trail.add(at(minute + 1), call(&session, "GetCallerIdentity"));
        }
        let folder = tempfile::tempdir()?;
        let trail = trail
            .renamed(ACCOUNT, "123456789012")?
            .renamed("AROACIEXAMPLE", &ci)?;
        trail.write(folder.path())?;
        Ok(Self {
            world,
            a,
            ci,
            issued: at(2).to_string(),
            folder,
        })
    }

    async fn revoke(&self, arguments: &[&str]) -> Result<Finished> {
        let folder = self.folder.path().to_str().context("a path")?;
        let arguments = [&["revoke"], arguments, &["--cloudtrail", folder]].concat();
        self.world.run(&arguments).await
    }
}

#[tokio::test]
async fn a_key_that_only_the_trail_knows_gets_the_cut_of_its_kind() -> Result<()> {
    let theft = Theft::build().await?;
    for (key, cuts, more) in [
        (
            theft.a.as_str(),
            vec![format!("make the key {} of user/alice inactive", theft.a)],
            vec![
                format!("{B}  temporary credentials of user/alice"),
                format!("{C}  session deploy of role/ci"),
                format!("{D}  session deploy of role/ci"),
            ],
        ),
        (
            B,
            vec!["deny user/alice all temporary credentials issued before".to_owned()],
            vec![
                format!("It came of {}, which can make another", theft.a),
                format!("{D}  session deploy of role/ci"),
            ],
        ),
        (
            C,
            vec![
                "deny user/alice to assume role/ci".to_owned(),
                "deny role/ci all that its session deploy got before".to_owned(),
            ],
            vec![format!("It came of {}, which can make another", theft.a)],
        ),
    ] {
        let ended = theft.revoke(&[key]).await?;
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        let said = ended.stdout;
        let planned: Vec<&str> = said.lines().filter(|it| it.starts_with("  - ")).collect();
        assert_eq!(planned.len(), cuts.len(), "{said}");
        for (line, wanted) in planned.iter().zip(cuts) {
            assert!(line.contains(&wanted), "{wanted}: {said}");
        }
        for wanted in more {
            assert!(said.contains(&wanted), "{wanted}: {said}");
        }
        assert!(said.contains("--lineage"), "{said}");
    }
    assert_eq!(theft.world.writes(), Vec::<String>::new());
    let unknown = theft.revoke(&["ASIANOBODY2222222222"]).await?;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        unknown.stderr.contains("no call in this trail"),
        "{unknown:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_stolen_session_is_cut_with_its_parents_right_to_assume_it() -> Result<()> {
    let theft = Theft::build().await?;
    theft.revoke(&[C, "--apply", "--yes"]).await?.success()?;
    assert_eq!(
        theft.world.writes(),
        [
            "CreatePolicy",
            "AttachUserPolicy",
            "CreatePolicy",
            "AttachRolePolicy"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_lineage_is_cut_round_by_round_and_again_nothing_is_left_to_do() -> Result<()> {
    let theft = Theft::build().await?;
    let Theft { world, a, .. } = &theft;
    let all = [C, "--lineage", "--wait", "0s"];
    let planned = theft.revoke(&all).await?;
    assert_eq!(planned.status.code(), Some(2), "{planned:?}");
    assert!(
        planned.stdout.contains("Round 1: 4 keys, 4 to be cut"),
        "{planned:?}"
    );
    assert_eq!(world.writes(), Vec::<String>::new());

    let apply = [&all[..], &["--apply", "--yes"]].concat();
    let ended = theft.revoke(&apply).await?;
    // A late key may turn up for a quarter of an hour.
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(ended.stdout.contains("Not over:"), "{ended:?}");
    assert_eq!(
        world.writes(),
        [
            "CreatePolicy",
            "AttachUserPolicy",
            "UpdateAccessKey",
            "CreatePolicy",
            "AttachUserPolicy",
            "CreatePolicy",
            "AttachRolePolicy",
        ]
    );
    assert_eq!(world.status_of(a).await?, "Inactive");

    let judge = Judge::start(&world.tools)?;
    let (on_alice, on_ci) = (
        world.on_alice().await?,
        world.account.role_policies("ci").await?,
    );
    let alice = ("arn:aws:iam::123456789012:user/team/alice", "AIDAEXAMPLE");
    let issued = Some(theft.issued.as_str());
    assert!(denied(&judge, &on_alice, alice, issued, READ).await?, "B");
    assert!(
        !denied(&judge, &on_alice, alice, None, READ).await?,
        "her other key"
    );
    for (name, issued, wanted) in [
        ("deploy", theft.issued.as_str(), true),
        ("deploy", AFTER, false),
        ("nightly", theft.issued.as_str(), false),
    ] {
        let principal = format!("arn:aws:sts::123456789012:assumed-role/ci/{name}");
        let userid = format!("{}:{name}", theft.ci);
        let who = (principal.as_str(), userid.as_str());
        let denied = denied(&judge, &on_ci, who, Some(issued), READ).await?;
        assert_eq!(denied, wanted, "{name} {issued}");
    }

    let again = theft.revoke(&[&apply[..], &["--json"]].concat()).await?;
    assert_eq!(again.status.code(), Some(3), "{again:?}");
    assert_eq!(world.writes(), Vec::<String>::new());
    let round: Value = serde_json::from_str(&again.stdout)?;
    let fates = round["keys"].as_array().context("keys")?.iter();
    let fates: Vec<_> = fates.map(|key| &key["fate"]).collect();
    assert_eq!(fates, ["is-cut"; 4]);

    let listed = world
        .run(&["revoke", "--list", "--json"])
        .await?
        .success()?;
    let listed: Value = serde_json::from_str(&listed)?;
    for cut in listed.as_array().context("cuts")? {
        let id = cut["id"].as_str().context("an id")?;
        world.run(&["revoke", "--undo", id]).await?.success()?;
    }
    assert_eq!(world.status_of(a).await?, "Active");
    assert_eq!(world.on_alice().await?.len(), 0);
    assert_eq!(world.account.role_policies("ci").await?.len(), 0);
    Ok(())
}
