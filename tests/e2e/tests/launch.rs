//! From a host that is launched to the controller's run that lets it start: the two binaries, and
//! nothing between them but the record store.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use credpin_e2e::controller::Controller;
use credpin_e2e::guarded::Proxy;
use credpin_e2e::tools::Tools;
use credpin_mock_imds::{Host, Interface, MockImds};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MACS: &str = "/latest/meta-data/network/interfaces/macs/";
const ROLE: &str = "/latest/meta-data/iam/security-credentials/web";

/// The account of a golden scenario, and a store that its hosts and its controller share.
struct World {
    tools: Tools,
    cloud: TempDir,
    store: TempDir,
}

impl World {
    fn new() -> Result<Self> {
        let cloud = TempDir::new()?;
        let scenario = "../../controller/tests/scenarios/nat/cloud";
        copy(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(scenario),
            cloud.path(),
        )?;
        Ok(Self {
            tools: Tools::find()?,
            cloud,
            store: TempDir::new()?,
        })
    }

    fn records(&self) -> String {
        format!("records = \"file://{}\"\n", self.store.path().display())
    }

    /// The scheduled job.
    async fn run(&self) -> Result<()> {
        let config = format!(
            "{}publish-pins = true\nwithout-replay = true\npropagation = \"0s\"\n\
             [[role]]\nname = \"web\"\nmode = \"enforce\"\n",
            self.records()
        );
        let controller = Controller::new(&self.tools, &config)?;
        let run = controller.on_dir(self.cloud.path(), &["run"]).await?;
        run.success().map(drop)
    }

    /// A host of `web` in a subnet, whose proxy waits so long and then refuses.
    async fn launch(&self, subnet: &str, wait: &str) -> Result<Launched> {
        let interface = Interface {
            vpc_id: "vpc-0aaa".into(),
            subnet_id: subnet.into(),
            private_ipv4s: vec!["10.0.1.77".parse()?],
            public_ipv4s: Vec::new(),
            ..Interface::default()
        };
        let host = Host {
            instance_id: "i-0fedcba9876543210".into(),
            region: "eu-west-1".into(),
            role: Some("web".into()),
            interface,
            ..Host::default()
        };
        let imds = MockImds::builder().host(host).start().await?;
        let folder = TempDir::new()?;
        let config = folder.path().join("proxy.toml");
        let gate = format!("launch-gate = {{ wait = \"{wait}\", then = \"refuse\" }}\n");
        fs::write(&config, self.records() + &gate)?;
        let config = config.to_str().context("a path in UTF-8")?;
        let flags = ["--config", config];
        let proxy = Proxy::start(&self.tools, &imds.endpoint(), "127.0.0.1:0", &flags).await?;
        Ok(Launched {
            imds,
            proxy,
            _folder: folder,
        })
    }
}

struct Launched {
    imds: MockImds,
    proxy: Proxy,
    _folder: TempDir,
}

impl Launched {
    /// Asks for the role's credential; the status of the answer.
    async fn credential(&self) -> Result<u16> {
        let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
        let (_, token) = ask(self.proxy.address(), "PUT", "/latest/api/token", ttl).await?;
        let token = format!("X-aws-ec2-metadata-token: {token}\r\n");
        let (status, body) = ask(self.proxy.address(), "GET", ROLE, &token).await?;
        ensure!(status != 200 || body.contains("\"AccessKeyId\""), "{body}");
        Ok(status)
    }

    /// Returns once the gate has looked twice: then the first look found nothing.
    async fn is_held(&self) {
        let asked = || {
            let seen = self.imds.handle().requests();
            seen.iter().filter(|seen| seen.uri.path() == MACS).count()
        };
        while asked() < 2 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_launched_host_gets_its_first_credential_when_a_run_has_put_it_into_the_pin() -> Result<()>
{
    let world = World::new()?;
    let host = world.launch("subnet-0prv", "10m").await?;
    let credential = host.credential();
    tokio::pin!(credential);
    tokio::select! {
        biased;
        status = &mut credential => panic!("it was not held: {status:?}"),
        () = host.is_held() => {}
    }
    world.run().await?;
    ensure!(credential.await? == 200);

    // The next one of the subnet waits for no run.
    let next = world.launch("subnet-0prv", "10m").await?;
    ensure!(next.credential().await? == 200);
    Ok(())
}

#[tokio::test]
async fn a_host_that_the_pin_does_not_know_is_refused_when_its_time_is_over() -> Result<()> {
    let world = World::new()?;
    world.run().await?;
    let host = world.launch("subnet-0elsewhere", "100ms").await?;
    ensure!(host.credential().await? == 503);
    Ok(())
}

async fn ask(to: SocketAddr, method: &str, path: &str, headers: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(to).await?;
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no whole answer")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
