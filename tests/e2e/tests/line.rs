//! The main line, with parts nobody here wrote at both ends: boto3 takes a token through the proxy, the
//! controller pins its role in moto's IAM, and a real client that has the token elsewhere gets a real
//! `AccessDenied`, decided by an independent judge from the policies as IAM has them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// web-1 behind its proxy, its token in other hands, and AWS.
struct World {
    tools: Tools,
    moto: Moto,
    estate: Estate,
    gate: Gate,
    host: GuardedHost,
    store: TempDir,
    token: Credentials,
    /// Loopback addresses that stand for a position so far.
    placed: u8,
}

/// A use of the token: in words, from which loopback address, by which door, and whether the pin
/// admits it.
struct Use(&'static str, Ipv4Addr, String, bool);

impl World {
    /// boto3 takes web-1's credentials by its default chain, through the proxy.
    async fn build() -> Result<Self> {
        let tools = Tools::find()?;
        let moto = Moto::start(&tools).await?;
        let estate = Estate::build(&tools, &moto, Extras::default()).await?;
        let store = TempDir::new()?;
        let url = url_of(&store);
        let host = GuardedHost::start(&tools, estate.metadata("web-1"), &url).await?;
        let client = Client::at(&tools, Ipv4Addr::LOCALHOST).on_host(host.endpoint());
        let token = client.take().await?;
        let gate = Gate::new(Account::sign_in(&tools, &moto)?, Judge::start(&tools)?);
        let issued = host.imds().issued();
        assert_eq!(issued.len(), 1, "one set of credentials was handed out");
        assert_eq!(
            issued[0].access_key_id, token.access_key_id,
            "and it is this one"
        );
        gate.register(Session::of_host(&estate, "web-1", &issued[0]));
        Ok(Self {
            tools,
            moto,
            estate,
            gate,
            host,
            store,
            token,
            placed: 0,
        })
    }

    /// A loopback address that stands for `position`.
    fn at(&mut self, position: impl Into<IpAddr>) -> Ipv4Addr {
        self.placed += 1;
        let loopback = Ipv4Addr::new(127, 77, 0, self.placed);
        self.gate.place(loopback, position);
        loopback
    }

    async fn endpoint_of(&self, vpc: &str) -> Result<String> {
        let vpc = &self.estate.vpcs[vpc];
        let (vpc, endpoint) = (vpc.id.clone(), vpc.sts_endpoint.clone());
        self.gate.open(Door::Endpoint { vpc, endpoint }).await
    }

    async fn uses(&mut self) -> Result<Vec<Use>> {
        let public = || self.gate.open(Door::Public);
        let (one, two, three, four) = (
            public().await?,
            public().await?,
            public().await?,
            public().await?,
        );
        let (own, beside) = (self.endpoint_of("a").await?, self.endpoint_of("a").await?);
        let other = self.endpoint_of("b").await?;
        let service = Door::Service {
            name: "athena.amazonaws.com".into(),
        };
        let service = self.gate.open(service).await?;
        let host = |name: &str| self.estate.host(name).clone();
        let (web1, web2, web_b1) = (host("web-1"), host("web-2"), host("web-b1"));
        let away: Ipv4Addr = "203.0.113.66".parse()?;
        let away_v6: Ipv6Addr = "2001:db8:bad::1".parse()?;
        Ok(vec![
            Use(
                "home by the internet",
                self.at(web1.egress_address),
                one,
                true,
            ),
            Use(
                "home by the VPC endpoint",
                self.at(web1.private_address),
                own,
                true,
            ),
            Use(
                "a service on the caller's behalf",
                self.at(away),
                service,
                true,
            ),
            Use(
                "the other host by the internet",
                self.at(web_b1.egress_address),
                two,
                false,
            ),
            Use(
                "the other host by its own endpoint, at the same address",
                self.at(web_b1.private_address),
                other,
                false,
            ),
            Use(
                "a neighbour by the VPC endpoint",
                self.at(web2.private_address),
                beside,
                false,
            ),
            Use("the internet at large", self.at(away), three, false),
            Use("the internet over IPv6", self.at(away_v6), four, false),
        ])
    }

    async fn try_all(&self, uses: &[Use], pinned: bool) -> Result<()> {
        for Use(words, at, door, admitted) in uses {
            let client = Client::at(&self.tools, *at).through(door);
            let outcome = client
                .call_with(&self.token, "s3", "list_buckets", &json!({}))
                .await?;
            assert_eq!(
                outcome.is_done(),
                !pinned || *admitted,
                "{words}, pinned: {pinned}: {outcome:?}"
            );
            if let Outcome::Failed { code, message, .. } = &outcome {
                assert_eq!(code, "AccessDenied", "{words}");
                assert!(message.contains("policy/credpin/credpin-web"), "{message}");
            }
        }
        Ok(())
    }
}

fn url_of(store: &TempDir) -> String {
    format!("file://{}", store.path().display())
}

#[tokio::test]
async fn a_token_that_leaves_its_host_is_a_dead_string() -> Result<()> {
    let mut world = World::build().await?;
    let uses = world.uses().await?;
    world.try_all(&uses, false).await?;

    world.host.stop().await?;
    let controller = Controller::new(&world.tools, ENFORCE_WEB)?;
    let arguments = ["run", "--records", &url_of(&world.store)];
    controller
        .on_aws(&world.moto.endpoint(), &arguments)
        .await?
        .success()?;
    world.try_all(&uses, true).await?;
    assert_eq!(
        world.gate.seen().len(),
        2 * uses.len(),
        "each was judged, none answered by accident"
    );

    // The secret and the token are nowhere on the host's disk, nor in the store.
    let token = &world.token;
    for folder in [world.host.folder(), world.store.path()] {
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
