//! The main line, with parts nobody here wrote at both ends: boto3 takes a token through the proxy, the
//! controller pins its role in moto's IAM, and a real client that has the token elsewhere gets a real
//! `AccessDenied`, decided by an independent judge from the policies as IAM has them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use credpin_e2e::{
    account::Account,
    client::{Client, Outcome},
    controller::{Controller, ENFORCE_WEB},
    credentials::Credentials,
    estate::{Estate, Extras},
    gate::{Door, Gate, Session},
    guarded::GuardedHost,
    judge::Judge,
    moto::Moto,
    tools::Tools,
};
use serde_json::json;
use tempfile::TempDir;

/// A new loopback address stands for each position.
struct Positions(u8);

impl Positions {
    fn place(&mut self, gate: &Gate, position: impl Into<IpAddr>) -> Ipv4Addr {
        self.0 += 1;
        let loopback = Ipv4Addr::new(127, 77, 0, self.0);
        gate.place(loopback, position);
        loopback
    }
}

/// Takes web-1's credentials by boto3's default chain, through the proxy.
async fn taken(tools: &Tools, host: &GuardedHost) -> Result<Credentials> {
    let client = Client::at(tools, Ipv4Addr::new(127, 0, 0, 1)).on_host(host.endpoint());
    client.take().await
}

#[tokio::test]
async fn a_token_that_leaves_its_host_is_a_dead_string() -> Result<()> {
    let tools = Tools::find()?;
    let moto = Moto::start(&tools).await?;
    let estate = Estate::build(&tools, &moto, Extras::default()).await?;
    let store = TempDir::new()?;
    let store_url = format!("file://{}", store.path().display());
    let mut host = GuardedHost::start(&tools, estate.metadata("web-1"), &store_url).await?;
    let token = taken(&tools, &host).await?;
    let issued = host.imds().issued();
    assert_eq!(
        issued.len(),
        1,
        "one set of credentials was handed out, and it is this one"
    );
    assert_eq!(issued[0].access_key_id, token.access_key_id);

    let gate = Gate::new(Account::sign_in(&tools, &moto)?, Judge::start(&tools)?);
    gate.register(Session::of_host(&estate, "web-1", &issued[0]));
    let endpoint_of = |vpc: &str| Door::Endpoint {
        vpc: estate.vpcs[vpc].id.clone(),
        endpoint: estate.vpcs[vpc].sts_endpoint.clone(),
    };
    let public = gate.open(Door::Public).await?;
    let own = gate.open(endpoint_of("a")).await?;
    let other = gate.open(endpoint_of("b")).await?;
    let service = gate
        .open(Door::Service {
            name: "athena.amazonaws.com".into(),
        })
        .await?;

    let mut positions = Positions(0);
    let web1 = estate.host("web-1");
    let mut place = |position: IpAddr| positions.place(&gate, position);
    let nat_a = place(web1.egress_address.into());
    let nat_b = place(estate.host("web-b1").egress_address.into());
    let inside = place(web1.private_address.into());
    let beside = place(estate.host("web-2").private_address.into());
    let away = place("203.0.113.66".parse()?);
    let away_v6 = place("2001:db8:bad::1".parse()?);

    // Words, position, door, and whether the pin admits it.
    let uses = [
        ("home by the internet", nat_a, &public, true),
        ("home by the VPC endpoint", inside, &own, true),
        ("a service on the caller's behalf", away, &service, true),
        ("the other host by the internet", nat_b, &public, false),
        (
            "the other host by its VPC's endpoint, which has the same address",
            inside,
            &other,
            false,
        ),
        ("a neighbour by the VPC endpoint", beside, &own, false),
        ("the internet at large", away, &public, false),
        ("the internet over IPv6", away_v6, &public, false),
    ];
    let mut decided = Vec::new();
    for pinned in [false, true] {
        if pinned {
            host.stop().await?;
            let controller = Controller::new(&tools, ENFORCE_WEB)?;
            let run = controller
                .on_aws(&moto.endpoint(), &["run", "--records", &store_url])
                .await?;
            run.success()?;
        }
        for (words, at, door, admitted) in &uses {
            let client = Client::at(&tools, *at).through(*door);
            let outcome = client
                .call_with(&token, "s3", "list_buckets", &json!({}))
                .await?;
            let expected = !pinned || *admitted;
            assert_eq!(
                outcome.is_done(),
                expected,
                "{words}, pinned: {pinned}: {outcome:?}"
            );
            if let Outcome::Failed { code, message, .. } = &outcome {
                assert_eq!(code, "AccessDenied", "{words}");
                assert!(message.contains("policy/credpin/credpin-web"), "{message}");
            }
            decided.push(expected);
        }
    }
    assert_eq!(decided.iter().filter(|admitted| !**admitted).count(), 5);
    assert_eq!(
        gate.seen().len(),
        decided.len(),
        "each was judged, none answered by accident"
    );

    // The secret and the token are nowhere on the host's disk, nor in the store.
    for folder in [host.folder(), store.path()] {
        let text = text_of(folder);
        assert!(text.contains(&token.access_key_id), "{}", folder.display());
        assert!(
            !text.contains(&token.secret_access_key),
            "a secret in {}",
            folder.display()
        );
        assert!(
            !text.contains(token.token.as_ref().unwrap()),
            "a token in {}",
            folder.display()
        );
    }
    Ok(())
}

/// Everything that the files below a folder say.
fn text_of(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&text_of(&path));
        } else {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
    text
}
