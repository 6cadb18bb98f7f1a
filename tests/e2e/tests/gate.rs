//! The gate, by itself: credentials from a mock IMDS, real clients in, moto's policies and the judge behind, a
//! pin written by hand.

use std::net::Ipv4Addr;

use anyhow::Result;
use credpin_e2e::account::{Account, ApiError};
use credpin_e2e::client::{Client, Outcome};
use credpin_e2e::credentials::Credentials;
use credpin_e2e::estate::{Estate, Extras};
use credpin_e2e::gate::{Door, Gate, Session};
use credpin_e2e::judge::{Fact, Judge};
use credpin_e2e::moto::Moto;
use credpin_e2e::tools::Tools;
use credpin_mock_imds::MockImds;
use serde_json::json;

const HOME: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 2);
const PIN: &str = "arn:aws:iam::123456789012:policy/credpin/web";

/// web-1 holds credentials, its role is pinned to where web-1 leaves, and to its own VPC's endpoints.
struct World {
    tools: Tools,
    account: Account,
    estate: Estate,
    gate: Gate,
    /// Of web-1, taken by boto3 from its metadata service.
    credentials: Credentials,
    public: String,
    _moto: Moto,
}

impl World {
    async fn build() -> Result<Self> {
        let tools = Tools::find()?;
        let moto = Moto::start(&tools).await?;
        let estate = Estate::build(&tools, &moto, Extras::default()).await?;
        let account = Account::sign_in(&tools, &moto)?;
        let gate = Gate::new(Account::sign_in(&tools, &moto)?, Judge::start(&tools)?);
        let imds = MockImds::builder()
            .host(estate.metadata("web-1"))
            .start()
            .await?;
        let on_host = Client::at(&tools, HOME).on_host(imds.endpoint());
        let credentials = on_host.take().await?;
        gate.register(Session::of_host(
            &estate,
            "web-1",
            &imds.handle().issued()[0],
        ));
        gate.place(HOME, estate.host("web-1").egress_address);
        gate.place(ELSEWHERE, Ipv4Addr::new(203, 0, 113, 7));
        let public = gate.open(Door::Public).await?;
        Ok(Self {
            tools,
            account,
            estate,
            gate,
            credentials,
            public,
            _moto: moto,
        })
    }

    async fn pin(&self) -> Result<()> {
        let home = self.estate.host("web-1").egress_address;
        let own_device = json!({"aws:ViaAWSService": "false"});
        let document = json!({"Version": "2012-10-17", "Statement": [
            {
                "Sid": "Public", "Effect": "Deny", "Action": "*", "Resource": "*",
                "Condition": {
                    "Null": {"aws:SourceVpc": "true"}, "BoolIfExists": own_device,
                    "NotIpAddress": {"aws:SourceIp": format!("{home}/32")},
                },
            },
            {
                "Sid": "Endpoint", "Effect": "Deny", "Action": "*", "Resource": "*",
                "Condition": {
                    "Null": {"aws:SourceVpc": "false"}, "BoolIfExists": own_device,
                    "StringNotEquals": {"aws:SourceVpc": "${aws:Ec2InstanceSourceVpc}"},
                },
            },
        ]});
        let made = json!({"Path": "/credpin/", "PolicyName": "web", "PolicyDocument": document.to_string()});
        self.account
            .call("iam", "us-east-1", "create_policy", made)
            .await?;
        let attached = json!({"RoleName": "web", "PolicyArn": PIN});
        self.account
            .call("iam", "us-east-1", "attach_role_policy", attached)
            .await?;
        Ok(())
    }

    fn client(&self, at: Ipv4Addr, door: &str) -> Client {
        Client::at(&self.tools, at).through(door)
    }

    async fn lists_tables(&self, at: Ipv4Addr, door: &str) -> Result<Outcome> {
        let client = self.client(at, door);
        client
            .call_with(&self.credentials, "dynamodb", "list_tables", &json!({}))
            .await
    }
}

#[tokio::test]
async fn a_pinned_token_works_at_home_and_nowhere_else() -> Result<()> {
    let world = World::build().await?;
    assert!(
        world
            .lists_tables(ELSEWHERE, &world.public)
            .await?
            .is_done(),
        "nothing denies yet"
    );
    world.pin().await?;

    assert!(world.lists_tables(HOME, &world.public).await?.is_done());
    let Outcome::Failed {
        code,
        message,
        status,
    } = world.lists_tables(ELSEWHERE, &world.public).await?
    else {
        panic!("a token from elsewhere got through");
    };
    assert_eq!(
        (code.as_str(), status),
        ("AccessDeniedException", Some(400))
    );
    assert!(message.contains(PIN), "{message}");

    // The same in another protocol, whose code is AccessDenied, and for an object by presigned URL.
    let thief = world.client(ELSEWHERE, &world.public);
    let denied = thief
        .call_with(&world.credentials, "s3", "list_buckets", &json!({}))
        .await?;
    assert_eq!(denied.code(), Some("AccessDenied"));
    let object = json!({"Bucket": "loot", "Key": "a file.txt"});
    let url = world
        .client(HOME, &world.public)
        .presign(&world.credentials, "s3", "get_object", &object)
        .await?;
    assert_eq!(thief.open(&url).await?.code(), Some("AccessDenied"));
    assert!(
        world
            .client(HOME, &world.public)
            .open(&url)
            .await?
            .is_done()
    );

    // AWS answers this one whatever denies it.
    assert!(
        thief
            .call_with(&world.credentials, "sts", "get_caller_identity", &json!({}))
            .await?
            .is_done()
    );
    Ok(())
}

#[tokio::test]
async fn doors_decide_which_keys_a_request_has() -> Result<()> {
    let world = World::build().await?;
    world.pin().await?;
    let inside = Ipv4Addr::new(127, 1, 0, 3);
    world
        .gate
        .place(inside, world.estate.host("web-1").private_address);
    let endpoint_of = |vpc: &str| Door::Endpoint {
        vpc: world.estate.vpcs[vpc].id.clone(),
        endpoint: world.estate.vpcs[vpc].sts_endpoint.clone(),
    };
    let own = world.gate.open(endpoint_of("a")).await?;
    let foreign = world.gate.open(endpoint_of("b")).await?;
    let service = world
        .gate
        .open(Door::Service {
            name: "athena.amazonaws.com".into(),
        })
        .await?;

    assert!(world.lists_tables(inside, &own).await?.is_done());
    assert!(
        !world.lists_tables(inside, &foreign).await?.is_done(),
        "the same address in another VPC"
    );
    assert!(
        world.lists_tables(ELSEWHERE, &service).await?.is_done(),
        "on the caller's behalf"
    );

    let seen = world.gate.seen();
    let keys = |i: usize, key: &str| seen[i].context.get(key).cloned();
    assert_eq!(keys(0, "aws:SourceIp"), None);
    assert_eq!(keys(0, "aws:VpcSourceIp"), Some("10.0.1.11".into()));
    assert_eq!(
        keys(0, "aws:SourceVpc"),
        Some(world.estate.vpcs["a"].id.clone().into())
    );
    assert_eq!(
        keys(1, "aws:SourceVpc"),
        Some(world.estate.vpcs["b"].id.clone().into())
    );
    assert_eq!(
        keys(1, "aws:Ec2InstanceSourceVpc"),
        keys(0, "aws:SourceVpc")
    );
    assert_eq!(keys(2, "aws:SourceVpc"), None);
    assert_eq!(
        keys(2, "aws:CalledVia"),
        Some(Fact::Many(vec!["athena.amazonaws.com".into()]))
    );
    Ok(())
}

#[tokio::test]
async fn who_cannot_prove_who_he_is_does_not_get_as_far_as_the_policies() -> Result<()> {
    let world = World::build().await?;
    let good = world.credentials.clone();
    let client = world.client(HOME, &world.public);
    for (bad, dynamodb, s3) in [
        (
            Credentials {
                access_key_id: "ASIAUNKNOWNUNKNOWN00".into(),
                ..good.clone()
            },
            "UnrecognizedClientException",
            "InvalidAccessKeyId",
        ),
        (
            Credentials {
                token: Some("another".into()),
                ..good.clone()
            },
            "UnrecognizedClientException",
            "InvalidToken",
        ),
        (
            Credentials {
                token: None,
                ..good.clone()
            },
            "UnrecognizedClientException",
            "InvalidToken",
        ),
        (
            Credentials {
                secret_access_key: "a guess".into(),
                ..good.clone()
            },
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
        ),
    ] {
        let tables = client
            .call_with(&bad, "dynamodb", "list_tables", &json!({}))
            .await?;
        assert_eq!(tables.code(), Some(dynamodb));
        let buckets = client
            .call_with(&bad, "s3", "list_buckets", &json!({}))
            .await?;
        assert_eq!(buckets.code(), Some(s3));
    }
    assert!(world.gate.seen().is_empty());
    Ok(())
}

/// A test that forgot to place its client must not take the refusal for a denial.
#[tokio::test]
async fn a_caller_without_a_position_is_an_error_and_no_denial() -> Result<()> {
    let world = World::build().await?;
    let nowhere = world
        .lists_tables(Ipv4Addr::new(127, 9, 9, 9), &world.public)
        .await?;
    assert!(
        matches!(nowhere, Outcome::Failed { code, status: Some(500), .. } if code == "InternalFailure")
    );
    Ok(())
}

#[tokio::test]
async fn account_reads_a_role_s_live_policies() -> Result<()> {
    let world = World::build().await?;
    assert!(world.account.role_policies("web").await?.is_empty());
    world.pin().await?;
    let second = json!({
        "PolicyArn": PIN, "SetAsDefault": true,
        "PolicyDocument": json!({"Version": "2012-10-17", "Statement": [{"Sid": "Second", "Effect": "Deny", "Action": "*", "Resource": "*"}]}).to_string(),
    });
    world
        .account
        .call("iam", "us-east-1", "create_policy_version", second)
        .await?;
    let policies = world.account.role_policies("web").await?;
    assert_eq!(policies.len(), 1);
    assert_eq!(policies[0].name, PIN);
    assert_eq!(
        policies[0].document["Statement"][0]["Sid"], "Second",
        "the default version, not the first"
    );

    let gone = world
        .account
        .role_policies("nobody")
        .await
        .expect_err("no such role");
    assert_eq!(
        gone.downcast_ref::<ApiError>().map(|e| e.code.as_str()),
        Some("NoSuchEntity")
    );
    Ok(())
}

/// The harness's own safety: no metadata service, no credentials, no AWS unless a test gives them.
#[tokio::test]
async fn a_client_that_is_told_nothing_reaches_nothing() -> Result<()> {
    let client = Client::at(&Tools::find()?, HOME);
    let nothing = client.take().await.expect_err("no credentials");
    assert!(nothing.to_string().contains("NoCredentials"), "{nothing}");

    let credentials = Credentials::of_moto();
    let call = client
        .call_with(&credentials, "dynamodb", "list_tables", &json!({}))
        .await?;
    assert_eq!(call.code(), Some("EndpointConnectionError"));
    Ok(())
}
