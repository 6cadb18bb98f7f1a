//! The record store's bucket policy: a host creates under its own name, and that is all it can do there,
//! whatever its role may do elsewhere.

use anyhow::Result;
use credpin_e2e::{
    judge::{Decision, Facts, Judge, Policy, Question, ResourcePolicy, allow_everything},
    tools::Tools,
};
use credpin_ledger::{Admission, Key, UserId};

use crate::text;

const ACCOUNT: &str = "111122223333";
const OTHER_ACCOUNT: &str = "444455556666";
const ORGANIZATION: &str = "o-exampleorgid";
const BUCKET: &str = "arn:aws:s3:::credpin-records";
const FILE: &str = "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968-00000000000000000007.jsonl";
const A: &str = "AROAEXAMPLEAAAAAAAAAA:i-0aaaaaaaaaaaaaaaa";
const B: &str = "AROAEXAMPLEAAAAAAAAAA:i-0bbbbbbbbbbbbbbbb";

/// Who calls.
#[derive(Clone, Copy, Debug)]
struct Caller {
    account: &'static str,
    /// The role's name.
    role: &'static str,
    /// `aws:userid`
    user: &'static str,
    /// Whether EC2 delivered its credentials.
    ec2: bool,
}

const HOST_A: Caller = Caller {
    account: ACCOUNT,
    role: "web",
    user: A,
    ec2: true,
};
const HOST_B: Caller = Caller { user: B, ..HOST_A };
const CONTROLLER: Caller = Caller {
    account: ACCOUNT,
    role: "credpin-controller",
    user: "AROAEXAMPLECCCCCCCCCC:i-0cccccccccccccccc",
    ec2: true,
};

struct Store {
    judge: Judge,
    policy: ResourcePolicy,
}

impl Store {
    fn open() -> Result<Self> {
        let text = text("deploy/iam/records-bucket-policy.json");
        Ok(Self {
            judge: Judge::start(&Tools::find()?)?,
            policy: ResourcePolicy {
                name: "bucket".into(),
                document: serde_json::from_str(&text)?,
                account: ACCOUNT.into(),
            },
        })
    }

    /// Whether a caller may, whose role has `policies`.
    async fn decide(
        &self,
        caller: Caller,
        policies: Vec<Policy>,
        action: &str,
        object: &str,
        more: &[(&str, &str)],
    ) -> Result<Decision> {
        let Caller {
            account,
            role,
            user,
            ec2,
        } = caller;
        let (_, session) = user.split_once(':').unwrap();
        let mut context = Facts::new();
        let mut fact = |key: &str, value: String| context.insert(key.into(), value.into());
        fact("aws:PrincipalAccount", account.into());
        fact("aws:PrincipalOrgID", ORGANIZATION.into());
        fact(
            "aws:PrincipalArn",
            format!("arn:aws:iam::{account}:role/{role}"),
        );
        fact("aws:userid", user.into());
        fact("aws:SecureTransport", "true".into());
        if ec2 {
            let arn = format!("arn:aws:ec2:eu-west-1:{account}:instance/{session}");
            fact("ec2:SourceInstanceARN", arn);
        }
        for (key, value) in more {
            fact(key, (*value).to_owned());
        }
        let question = Question {
            policies,
            principal: format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
            action: action.into(),
            resource: if object.is_empty() {
                BUCKET.into()
            } else {
                format!("{BUCKET}/{object}")
            },
            context,
        };
        Ok(self
            .judge
            .judge_there(&question, &self.policy)
            .await?
            .decision)
    }

    /// Whether a caller may create an object, with nothing but the bucket's policy to allow it.
    async fn create(&self, caller: Caller, object: &str) -> Result<Decision> {
        let create = [("s3:if-none-match", "*")];
        self.decide(caller, vec![], "s3:PutObject", object, &create)
            .await
    }
}

fn object(account: &str, user: &str) -> String {
    format!("records/v1/dt=2026-05-04/hr=09/account={account}/region=eu-west-1/{user}/{FILE}")
}

#[tokio::test]
async fn a_host_creates_under_its_own_name_and_no_other() -> Result<()> {
    let store = Store::open()?;
    let own = object(ACCOUNT, A);
    assert!(own.parse::<Key>().is_ok(), "it is a key of ours");
    assert_eq!(store.create(HOST_A, &own).await?, Decision::Allowed);
    for other in [
        object(ACCOUNT, B),
        object(OTHER_ACCOUNT, A),
        object(ACCOUNT, "i-0aaaaaaaaaaaaaaaa"),
        "state/plan.json".to_owned(),
    ] {
        assert_eq!(
            store.create(HOST_A, &other).await?,
            Decision::Denied,
            "{other}"
        );
    }
    // A role that may do everything does no more there.
    let (all, create) = (vec![allow_everything()], [("s3:if-none-match", "*")]);
    let other = object(ACCOUNT, B);
    let decided = store.decide(HOST_A, all, "s3:PutObject", &other, &create);
    assert_eq!(decided.await?, Decision::Denied);
    Ok(())
}

/// A wildcard of a policy reaches over slashes, and so a host can create objects whose names say two
/// things at once. None of them is a key, so no reader takes a record from them.
#[tokio::test]
async fn no_key_that_a_host_can_create_is_anothers() -> Result<()> {
    let store = Store::open()?;
    let own = object(ACCOUNT, B);
    let theirs = object(ACCOUNT, A);
    let (_, own_end) = own.split_once("region=eu-west-1/").unwrap();
    let (before, _) = theirs.split_once(FILE).unwrap();
    let tries = [
        own.clone(),
        format!("{before}{own_end}"),
        format!("{before}region=x/{own_end}"),
        own.replace(FILE, &format!("{A}/{FILE}")),
        own.replace("region=", &format!("region=eu-west-1/{A}/region=")),
        own.replace("hr=09", &format!("hr=09/account={OTHER_ACCOUNT}")),
        own.replace("account=", &format!("account={OTHER_ACCOUNT}/account=")),
        own.replace("eu-west-1", "eu-west-2"),
    ];
    let mut allowed = 0;
    for key in tries {
        if store.create(HOST_B, &key).await? != Decision::Allowed {
            continue;
        }
        allowed += 1;
        if let Ok(key) = key.parse::<Key>() {
            assert_eq!(
                (key.user(), key.account()),
                (&B.parse::<UserId>()?, ACCOUNT)
            );
        }
    }
    assert!(allowed > 2, "the tries are tries: {allowed}");
    Ok(())
}

#[tokio::test]
async fn a_host_reads_overwrites_and_deletes_nothing() -> Result<()> {
    let store = Store::open()?;
    let own = object(ACCOUNT, A);
    for (action, object) in [
        ("s3:GetObject", &*own),
        ("s3:GetObjectVersion", &own),
        ("s3:DeleteObject", &own),
        ("s3:DeleteObjectVersion", &own),
        ("s3:PutObjectAcl", &own),
        ("s3:ListBucket", ""),
        ("s3:PutBucketPolicy", ""),
        // An upload without the condition overwrites.
        ("s3:PutObject", &own),
    ] {
        let all = vec![allow_everything()];
        let decided = store.decide(HOST_A, all, action, object, &[]).await?;
        assert_eq!(decided, Decision::Denied, "{action}");
    }
    let plain = [("s3:if-none-match", "*"), ("aws:SecureTransport", "false")];
    let decided = store.decide(HOST_A, vec![], "s3:PutObject", &own, &plain);
    assert_eq!(decided.await?, Decision::Denied, "not encrypted");
    Ok(())
}

#[tokio::test]
async fn who_is_no_host_cannot_write_in_ones_name() -> Result<()> {
    let store = Store::open()?;
    // Whoever may assume a role chooses the name of the session.
    let disguised = Caller {
        ec2: false,
        ..HOST_A
    };
    let (all, create) = (|| vec![allow_everything()], [("s3:if-none-match", "*")]);
    let own = object(ACCOUNT, A);
    let decided = store.decide(disguised, all(), "s3:PutObject", &own, &create);
    assert_eq!(decided.await?, Decision::Denied);
    let foreign = [create[0], ("aws:PrincipalOrgID", "o-another")];
    let decided = store.decide(HOST_A, vec![], "s3:PutObject", &own, &foreign);
    assert_eq!(decided.await?, Decision::Implicit);
    Ok(())
}

#[tokio::test]
async fn a_host_of_another_account_needs_its_own_accounts_word_too() -> Result<()> {
    let store = Store::open()?;
    let host = Caller {
        account: OTHER_ACCOUNT,
        ..HOST_A
    };
    let own = object(OTHER_ACCOUNT, A);
    assert_eq!(store.create(host, &own).await?, Decision::Implicit);
    let (all, create) = (vec![allow_everything()], [("s3:if-none-match", "*")]);
    let decided = store
        .decide(host, all, "s3:PutObject", &own, &create)
        .await?;
    assert_eq!(decided, Decision::Allowed);
    Ok(())
}

#[tokio::test]
async fn the_controller_reads_and_does_not_write_records() -> Result<()> {
    let store = Store::open()?;
    let record = object(ACCOUNT, A);
    for (action, object) in [("s3:GetObject", &*record), ("s3:ListBucket", "")] {
        let decided = store
            .decide(CONTROLLER, vec![], action, object, &[])
            .await?;
        assert_eq!(decided, Decision::Allowed, "{action}");
    }
    assert_ne!(store.create(CONTROLLER, &record).await?, Decision::Allowed);
    Ok(())
}

#[tokio::test]
async fn hosts_read_what_pins_of_their_account_admit_and_only_the_controller_writes_it()
-> Result<()> {
    let store = Store::open()?;
    let (own, theirs) = (
        Admission::name(ACCOUNT, "web"),
        Admission::name(OTHER_ACCOUNT, "web"),
    );
    let read = |caller, object: String| {
        let store = &store;
        async move {
            store
                .decide(caller, vec![], "s3:GetObject", &object, &[])
                .await
        }
    };
    assert_eq!(read(HOST_A, own.clone()).await?, Decision::Allowed);
    assert_eq!(read(HOST_A, theirs).await?, Decision::Denied);
    assert_eq!(
        read(HOST_A, "pins/v1/index/111122223333.json".into()).await?,
        Decision::Denied
    );
    let administrator = Caller {
        role: "administrator",
        ec2: false,
        ..HOST_A
    };
    for (caller, expected) in [
        (HOST_A, Decision::Denied),
        (administrator, Decision::Denied),
        (CONTROLLER, Decision::Allowed),
    ] {
        let all = vec![allow_everything()];
        let write = store.decide(caller, all, "s3:PutObject", &own, &[]);
        assert_eq!(write.await?, expected, "{}", caller.role);
    }
    let all = vec![allow_everything()];
    let delete = store.decide(HOST_A, all, "s3:DeleteObject", &own, &[]);
    assert_eq!(delete.await?, Decision::Denied);
    Ok(())
}
