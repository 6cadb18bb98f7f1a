//! Records on their way to S3: the proxy's binary with its host's own role, moto's S3 and, between them, a
//! wire that can be cut. STS is the gate, which checks signatures and knows who has which session.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use credpin_e2e::{
    account::Account,
    client::Client,
    controller::{Controller, ENFORCE_WEB},
    estate::{Estate, Extras},
    gate::{Door, Gate, Session},
    judge::Judge,
    moto::Moto,
    process::Running,
    tools::Tools,
};
use credpin_ledger::{Access, Record, RecordStore, StoreUrl};
use credpin_mock_imds::{Issued, MockImds};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

const BUCKET: &str = "credpin-records";
/// Only a test that hangs waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the wire between the proxy and S3 does.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Open(SocketAddr),
    Cut,
    /// Requests arrive, and their answers are lost.
    Deaf(SocketAddr),
}

struct Wire {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    /// An answer was lost.
    lost: mpsc::UnboundedReceiver<()>,
}

impl Wire {
    async fn start(mode: Mode) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (mode, current) = watch::channel(mode);
        let (losing, lost) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut changes, losing) = (current.clone(), losing.clone());
                let mode = *changes.borrow_and_update();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = changes.changed() => {}
                        carried = carry(client, mode, losing) => drop(carried),
                    }
                });
            }
        });
        Ok(Self {
            address,
            mode,
            lost,
        })
    }

    fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn carry(mut client: TcpStream, mode: Mode, losing: mpsc::UnboundedSender<()>) -> Result<()> {
    match mode {
        Mode::Cut => {}
        Mode::Open(to) => {
            copy_bidirectional(&mut client, &mut TcpStream::connect(to).await?).await?;
        }
        Mode::Deaf(to) => {
            let mut server = TcpStream::connect(to).await?;
            let (mut request, mut answer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
            loop {
                tokio::select! {
                    read = client.read(&mut request) => match read? {
                        0 => break,
                        read => server.write_all(&request[..read]).await?,
                    },
                    _ = server.read(&mut answer) => {
                        losing.send(())?;
                        break;
                    }
                }
            }
        }
    }
    Ok(())
}

/// web-1 with its proxy, which ships to S3.
struct World {
    tools: Tools,
    estate: Estate,
    gate: Gate,
    imds: MockImds,
    moto: Moto,
    account: Account,
    wire: Wire,
    url: String,
    folder: TempDir,
    proxy: Option<(Running, String)>,
}

impl World {
    async fn build() -> Result<Self> {
        let tools = Tools::find()?;
        let moto = Moto::start(&tools).await?;
        let estate = Estate::build(&tools, &moto, Extras::default()).await?;
        let account = bucket(&tools, &moto).await?;
        let gate = Gate::new(Account::sign_in(&tools, &moto)?, Judge::start(&tools)?);
        let sts = gate.open(Door::Public).await?;
        let wire = Wire::start(Mode::Open(address(&moto))).await?;
        let url = format!(
            "s3://{BUCKET}/fleet?region=eu-central-1&endpoint=http://{}&sts={sts}",
            wire.address
        );
        let imds = MockImds::builder().host(estate.metadata("web-1"));
        let mut world = Self {
            imds: imds.start().await?,
            folder: TempDir::new()?,
            proxy: None,
            tools,
            estate,
            gate,
            moto,
            account,
            wire,
            url,
        };
        world.start_proxy().await?;
        Ok(world)
    }

    async fn start_proxy(&mut self) -> Result<()> {
        let mut proxy = self
            .tools
            .binary("credpin-proxy")?
            .args(["run", "--listen", "127.0.0.1:0", "--upstream"])
            .arg(self.imds.endpoint())
            .arg("--ledger")
            .arg(self.folder.path().join("ledger"))
            .args(["--records", &self.url])
            .env("CREDPIN_PROXY_SHIP_INTERVAL", "50ms")
            .env("CREDPIN_PROXY_SESSION_KEY", "off")
            .env("CREDPIN_PROXY_CACHE_RECHECK", "20ms")
            .spawn()?;
        let (_, stdout) = proxy.pipes()?;
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready).await?;
        let address = ready
            .split_once("ready on ")
            .and_then(|(_, rest)| Some(rest.split_once(',')?.0.to_owned()));
        let address = address.unwrap_or_else(|| panic!("{ready}{}", proxy.complaint()));
        self.proxy = Some((proxy, format!("http://{address}")));
        Ok(())
    }

    /// As a loss of the process looks: no last round, no goodbye.
    async fn kill_proxy(&mut self) -> Result<()> {
        let (mut proxy, _) = self.proxy.take().unwrap();
        proxy.kill().await
    }

    /// What the proxy has said so far, when it has ended.
    async fn stop_proxy(&mut self) -> Result<String> {
        let (mut proxy, _) = self.proxy.take().unwrap();
        ensure!(proxy.terminate().await?.success(), proxy.complaint());
        Ok(proxy.complaint())
    }

    /// boto3 takes the role's credentials, new ones, by its default chain. AWS knows them from then on.
    async fn take_new_credentials(&self) -> Result<Issued> {
        let before = self.imds.handle().issued();
        self.imds.handle().rotate_credentials();
        let (_, endpoint) = self.proxy.as_ref().unwrap();
        let client = Client::at(&self.tools, Ipv4Addr::LOCALHOST).on_host(endpoint);
        // Until the proxy has noticed, clients get what it has.
        let mut taken = client.take().await?;
        while before
            .iter()
            .any(|it| it.access_key_id == taken.access_key_id)
        {
            taken = client.take().await?;
        }
        let issued = self.imds.handle().issued();
        for issued in &issued {
            self.gate
                .register(Session::of_host(&self.estate, "web-1", issued));
        }
        let ours = issued
            .into_iter()
            .find(|it| it.access_key_id == taken.access_key_id);
        Ok(ours.unwrap())
    }

    fn ledger(&self) -> Vec<Record> {
        credpin_ledger::scan(&self.folder.path().join("ledger")).unwrap()
    }

    /// What the store has, read as a controller would read it.
    async fn stored(&self) -> Vec<Record> {
        let url: StoreUrl = self.url.parse().unwrap();
        let variables = [
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let access = Access::Variables(variables.to_vec());
        let read = RecordStore::open(&url, &access).unwrap().read(None).await;
        let read = read.unwrap();
        assert_eq!(read.warnings, []);
        read.records
    }

    /// Waits until the store is as it should be.
    async fn stored_once(&self, should_be: impl Fn(&[Record]) -> bool) -> Vec<Record> {
        let stored = async {
            loop {
                let stored = self.stored().await;
                if should_be(&stored) {
                    return stored;
                }
            }
        };
        let stored = timeout(PATIENCE, stored).await.ok();
        stored.unwrap_or_else(|| panic!("{}", self.proxy.as_ref().unwrap().0.complaint()))
    }

    /// Waits until the store has all that the ledger has, and that is of these credentials.
    async fn all_stored(&self, issued: &[&Issued]) -> Vec<Record> {
        let all = |stored: &[Record]| {
            keys(stored).len() == issued.len() && sorted(stored) == sorted(&self.ledger())
        };
        let stored = self.stored_once(all).await;
        let issued = issued.iter().map(|issued| issued.access_key_id.clone());
        assert_eq!(keys(&stored), issued.collect());
        stored
    }

    async fn objects(&self) -> Vec<String> {
        let request = json!({"Bucket": BUCKET});
        let listed = self
            .account
            .call("s3", "eu-central-1", "list_objects_v2", request)
            .await;
        let listed = listed.unwrap();
        let objects = listed["Contents"].as_array().cloned().unwrap_or_default();
        let key = |object: &Value| object["Key"].as_str().unwrap().to_owned();
        objects.iter().map(key).collect()
    }
}

fn address(moto: &Moto) -> SocketAddr {
    moto.endpoint()
        .trim_start_matches("http://")
        .parse()
        .unwrap()
}

async fn bucket(tools: &Tools, moto: &Moto) -> Result<Account> {
    let account = Account::sign_in(tools, moto)?;
    let place = json!({"LocationConstraint": "eu-central-1"});
    let request = json!({"Bucket": BUCKET, "CreateBucketConfiguration": place});
    account
        .call("s3", "eu-central-1", "create_bucket", request)
        .await?;
    Ok(account)
}

fn sorted(records: &[Record]) -> Vec<Record> {
    let mut records = records.to_vec();
    records.sort_by_key(|record| record.seq);
    records
}

fn keys(records: &[Record]) -> BTreeSet<String> {
    let keys = records.iter().map(|record| record.access_key_id.clone());
    keys.collect()
}

#[tokio::test]
async fn records_arrive_in_s3_under_the_hosts_own_name_and_the_controller_reads_them() -> Result<()>
{
    let mut world = World::build().await?;
    let issued = world.take_new_credentials().await?;
    let own = |record: &Record| {
        let exe = record.consumer.exe.as_deref();
        exe.is_some_and(|exe| exe.ends_with("/credpin-proxy"))
    };
    // The client's, and the proxy's own use of the same credential.
    world.stored_once(|stored| stored.iter().any(own)).await;
    let stored = world.all_stored(&[&issued]).await;
    assert_eq!(stored.len(), 2, "{stored:#?}");

    let host = world.estate.host("web-1");
    let role = &world.estate.roles["web"];
    let name = format!(
        "/account={}/region=eu-west-1/{}:{}/",
        world.estate.account, role.id, host.id
    );
    for object in world.objects().await {
        assert!(object.starts_with("fleet/records/v1/dt="), "{object}");
        assert!(object.contains(&name), "{object} does not contain {name}");
    }

    let controller = Controller::new(&world.tools, ENFORCE_WEB)?;
    let arguments = ["--records", &world.url, "status", "--json"];
    let status = controller
        .on_aws(&world.moto.endpoint(), &arguments)
        .await?;
    let status: Value = serde_json::from_str(&status.stdout)?;
    let web = status["roles"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["role"] == "web")
        .unwrap();
    assert_eq!(web["recorded_hosts"], 1, "{web}");

    let said = world.stop_proxy().await?;
    for secret in [&issued.secret_access_key, &issued.token] {
        assert!(!said.contains(secret.as_str()));
        assert!(!serde_json::to_string(&stored)?.contains(secret.as_str()));
    }
    Ok(())
}

#[tokio::test]
async fn an_outage_a_lost_answer_and_deaths_lose_nothing_and_double_nothing() -> Result<()> {
    let mut world = World::build().await?;
    let open = Mode::Open(address(&world.moto));
    let first = world.take_new_credentials().await?;
    world.all_stored(&[&first]).await;

    // S3 is away, and the proxy dies meanwhile.
    world.wire.set(Mode::Cut);
    let second = world.take_new_credentials().await?;
    world.kill_proxy().await?;
    world.start_proxy().await?;
    let third = world.take_new_credentials().await?;
    assert_eq!(keys(&world.ledger()).len(), 3);

    // Requests arrive and their answers do not: the proxy cannot know, and dies before it could.
    world.wire.set(Mode::Deaf(address(&world.moto)));
    timeout(PATIENCE, world.wire.lost.recv()).await?.unwrap();
    world.kill_proxy().await?;
    let there = world.objects().await.len();
    world.start_proxy().await?;
    timeout(PATIENCE, world.wire.lost.recv()).await?.unwrap();

    world.wire.set(open);
    world.all_stored(&[&first, &second, &third]).await;
    assert!(world.objects().await.len() >= there);

    // Another S3 in its place: what the first one took is not sent again.
    let other = Moto::start(&world.tools).await?;
    let old = std::mem::replace(&mut world.moto, other);
    world.stop_proxy().await?;
    drop(old);
    world.start_proxy().await?;
    let fourth = world.take_new_credentials().await?;
    world.account = bucket(&world.tools, &world.moto).await?;
    world.wire.set(Mode::Open(address(&world.moto)));
    let stored = world.stored_once(|stored| !stored.is_empty()).await;
    assert_eq!(
        keys(&stored),
        BTreeSet::from([fourth.access_key_id.clone()])
    );
    Ok(())
}
