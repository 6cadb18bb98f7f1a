//! Clients that know one address of the metadata service only, the real one: in a network of their own,
//! where the proxy has that address and no way leads out.

use std::path::PathBuf;

use anyhow::Result;
use credpin_e2e::imds_client::ImdsClient;
use credpin_e2e::namespace::{Family, Namespace};
use credpin_e2e::process::Running;
use credpin_e2e::tools::Tools;
use serde_json::Value;
use tempfile::TempDir;

/// The mock, behind the proxy.
const UPSTREAM: &str = "http://127.0.0.1:1338";

struct Sealed {
    tools: Tools,
    network: Namespace,
    folder: TempDir,
    _imds: Running,
    _proxy: Running,
}

impl Sealed {
    async fn build(imds_flags: &[&str]) -> Result<Self> {
        let tools = Tools::find()?;
        let network = Namespace::with_imds_addresses(&tools).await?;
        let imds = tools.binary("credpin-mock-imds")?.args(imds_flags);
        let imds = started(network.inside(imds).spawn()?).await?;
        let folder = TempDir::new()?;
        let proxy = tools
            .binary("credpin-proxy")?
            .args(["run", "--upstream", UPSTREAM, "--ledger"])
            .arg(folder.path().join("ledger"))
            .env(
                "CREDPIN_PROXY_LISTEN",
                "169.254.169.254:80,[fd00:ec2::254]:80",
            )
            .env("CREDPIN_PROXY_SESSION_KEY", "off");
        let proxy = started(network.inside(proxy).spawn()?).await?;
        Ok(Self {
            tools,
            network,
            folder,
            _imds: imds,
            _proxy: proxy,
        })
    }

    fn recorded(&self) -> Result<Vec<String>> {
        let ledger: PathBuf = self.folder.path().join("ledger");
        let records = credpin_ledger::scan(&ledger)?;
        Ok(records.into_iter().map(|one| one.access_key_id).collect())
    }
}

async fn started(mut program: Running) -> Result<Running> {
    program.ready().await?;
    Ok(program)
}

#[tokio::test]
async fn each_gets_a_credential_that_is_on_record() -> Result<()> {
    for flags in [&[][..], &["--imdsv2"]] {
        let sealed = Sealed::build(flags).await?;
        let Sealed { tools, network, .. } = &sealed;
        for (client, family) in [
            (tools.ec2_metadata()?, Family::V4),
            (tools.javascript()?, Family::V4),
            (tools.javascript()?, Family::V6),
            (tools.boto3()?, Family::V4),
            (tools.boto3()?, Family::V6),
        ] {
            let client = ImdsClient::start(network.client(client, family).await?)?;
            let found = client.look().await?;
            assert_eq!(found.region.as_deref(), Some("us-east-1"));
            // One set serves them all; each of them is a consumer of its own.
            let mut recorded = sealed.recorded()?;
            recorded.dedup();
            assert_eq!(recorded, [found.credentials.access_key_id]);
        }
    }
    Ok(())
}

#[tokio::test]
async fn cloud_init_finds_its_instance() -> Result<()> {
    for flags in [&[][..], &["--imdsv2"]] {
        let sealed = Sealed::build(flags).await?;
        let crawl = sealed.tools.cloud_init()?;
        let crawl = sealed.network.client(crawl, Family::V4).await?;
        let found = crawl.finish().await?.success()?;
        let found: Value = serde_json::from_str(&found)?;
        assert_eq!(found["found"], true, "{found}");
        assert_eq!(found["instance_id"], "i-0123456789abcdef0");
        assert_eq!(found["region"], "us-east-1");
        assert_eq!(found["zone"], "us-east-1a");
        assert_eq!(found["user_data"], "", "this host has none");
        let card = &found["metadata"]["network"]["interfaces"]["macs"]["0e:00:00:00:00:0a"];
        assert_eq!(card["vpc-id"], "vpc-0123456789abcdef0", "{found}");
    }
    Ok(())
}
