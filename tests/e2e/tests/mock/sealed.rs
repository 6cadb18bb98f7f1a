//! Clients that know one address of the metadata service only, the real one: in a network of their own,
//! where the mock has that address and no way leads out. It is the binary, told what to do by its flags
//! and its admin API.

use anyhow::{Context, Result, ensure};
use credpin_e2e::credentials::Credentials;
use credpin_e2e::imds_client::{Found, ImdsClient};
use credpin_e2e::namespace::{Family, Namespace};
use credpin_e2e::process::{Launch, Running};
use credpin_e2e::tools::Tools;
use serde_json::Value;
use tempfile::TempDir;

struct Sealed {
    tools: Tools,
    network: Namespace,
    folder: TempDir,
    _imds: Running,
}

impl Sealed {
    async fn build(flags: &[&str]) -> Result<Self> {
        let tools = Tools::find()?;
        let network = Namespace::with_imds_addresses(&tools).await?;
        let folder = TempDir::new()?;
        let imds = tools.binary("credpin-mock-imds")?;
        let imds = imds
            .args(["--hostname", "::", "--port", "80", "--admin"])
            .arg(format!("unix:{}", socket(&folder)))
            .args(flags);
        let mut imds = network.inside(imds).spawn()?;
        imds.ready().await?;
        Ok(Self {
            tools,
            network,
            folder,
            _imds: imds,
        })
    }

    /// Asks the admin API, whose socket is a file and so in every network.
    async fn admin(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let curl = self.tools.system("curl", "curl")?;
        let curl = curl.args(["-q", "-s", "-S", "-f", "--unix-socket"]);
        let curl = curl.arg(socket(&self.folder)).args(["-X", method]);
        let curl = curl.args(["-d", body]).arg(format!("http://admin{path}"));
        let said = curl.finish().await?.success()?;
        Ok(serde_json::from_str(&said).unwrap_or_default())
    }

    async fn client(&self, launch: Launch, family: Family) -> Result<ImdsClient> {
        ImdsClient::start(self.network.client(launch, family).await?)
    }

    /// It has what was issued last, and the host's region.
    async fn check(&self, found: &Found) -> Result<()> {
        let issued = self.admin("GET", "/issued", "").await?;
        let issued = issued["issued"].as_array().context("no list")?;
        let newest = issued.last().context("nothing was issued")?;
        let text = |key: &str| newest[key].as_str().map(str::to_owned);
        let newest = Credentials {
            access_key_id: text("access-key-id").context("no key")?,
            secret_access_key: text("secret-access-key").context("no secret")?,
            token: text("token"),
        };
        assert_eq!(found.credentials, newest);
        assert_eq!(found.region.as_deref(), Some("us-east-1"));
        Ok(())
    }

    async fn cloud_init(&self) -> Result<Value> {
        let crawl = self.tools.cloud_init()?;
        let crawl = self.network.client(crawl, Family::V4).await?;
        Ok(serde_json::from_str(&crawl.finish().await?.success()?)?)
    }
}

fn socket(folder: &TempDir) -> String {
    folder.path().join("admin.sock").display().to_string()
}

/// `ec2-metadata`, the SDK for JavaScript with its `MetadataService`, and boto3 over both families.
async fn clients(sealed: &Sealed) -> Result<Vec<ImdsClient>> {
    let mut clients = Vec::new();
    for (launch, family) in [
        (sealed.tools.ec2_metadata()?, Family::V4),
        (sealed.tools.javascript()?, Family::V4),
        (sealed.tools.javascript()?, Family::V6),
        (sealed.tools.boto3()?, Family::V4),
        (sealed.tools.boto3()?, Family::V6),
    ] {
        clients.push(sealed.client(launch, family).await?);
    }
    Ok(clients)
}

#[tokio::test]
async fn each_gets_the_current_credential_with_and_without_imdsv1() -> Result<()> {
    for flags in [&[][..], &["--imdsv2"]] {
        let sealed = Sealed::build(flags).await?;
        for client in clients(&sealed).await? {
            let found = client.look().await?;
            sealed.check(&found).await?;
            assert_eq!(client.look().await?, found);
        }
    }
    Ok(())
}

#[tokio::test]
async fn each_takes_up_the_new_set_when_the_credential_rotates() -> Result<()> {
    let sealed = Sealed::build(&["--imdsv2"]).await?;
    for client in clients(&sealed).await? {
        let first = client.look().await?;
        sealed.check(&first).await?;
        sealed.admin("POST", "/credentials/rotate", "").await?;
        let second = client.look().await?;
        assert_ne!(second.credentials, first.credentials);
        sealed.check(&second).await?;
    }
    Ok(())
}

/// None of these asks again when it got a 503, as it comes.
#[tokio::test]
async fn each_fails_while_it_is_refused_and_gets_there_after() -> Result<()> {
    let sealed = Sealed::build(&["--imdsv2"]).await?;
    for fault in [
        r#"{"path": "/", "fault": "503"}"#,
        // A session is to be had, and not one read.
        r#"{"path": "/latest/meta-data", "fault": "throttle=0"}"#,
    ] {
        for client in clients(&sealed).await? {
            sealed.admin("POST", "/faults", fault).await?;
            let refused = client.look().await;
            ensure!(refused.is_err(), "it was refused and found {refused:?}");
            let faults = sealed.admin("GET", "/faults", "").await?;
            ensure!(
                faults["faults"][0]["hits"] != 0,
                "it asked nothing: {faults}"
            );
            sealed.admin("DELETE", "/faults", "").await?;
            sealed.check(&client.look().await?).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn cloud_init_finds_its_instance() -> Result<()> {
    // It reads everything but credentials, so that it does not matter that they rotate.
    for flags in [&[][..], &["--imdsv2"], &["--rotate-every", "1s"]] {
        let sealed = Sealed::build(flags).await?;
        found_by_cloud_init(&sealed.cloud_init().await?);
        let issued = sealed.admin("GET", "/issued", "").await?;
        assert_eq!(issued["issued"].as_array().map(Vec::len), Some(0));
    }
    Ok(())
}

/// It reads again what was refused, five times each; a session that is refused it does not ask for again.
#[tokio::test]
async fn cloud_init_reads_again_what_was_throttled_and_asks_for_a_session_once() -> Result<()> {
    let sealed = Sealed::build(&[
        "--imdsv2",
        "--fault",
        "/2021-03-23/meta-data/placement:503:count=3",
    ])
    .await?;
    found_by_cloud_init(&sealed.cloud_init().await?);
    let faults = sealed.admin("GET", "/faults", "").await?;
    assert_eq!(faults["faults"][0]["hits"], 3, "{faults}");

    let sealed = Sealed::build(&["--imdsv2", "--fault", "/2021-03-23:throttle=20"]).await?;
    found_by_cloud_init(&sealed.cloud_init().await?);

    let sealed = Sealed::build(&["--fault", "/latest/api/token:503"]).await?;
    let found = sealed.cloud_init().await?;
    assert_eq!(found["found"], false, "{found}");
    let faults = sealed.admin("GET", "/faults", "").await?;
    assert_eq!(faults["faults"][0]["hits"], 1, "{faults}");
    Ok(())
}

fn found_by_cloud_init(found: &Value) {
    assert_eq!(found["found"], true, "{found}");
    assert_eq!(found["instance_id"], "i-0123456789abcdef0");
    assert_eq!(found["region"], "us-east-1");
    assert_eq!(found["zone"], "us-east-1a");
    let card = &found["metadata"]["network"]["interfaces"]["macs"]["0e:00:00:00:00:0a"];
    assert_eq!(card["vpc-id"], "vpc-0123456789abcdef0", "{found}");
}
