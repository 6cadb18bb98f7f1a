//! What every client goes through.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use credpin_e2e::credentials::Credentials;
use credpin_e2e::guarded::GuardedHost;
use credpin_e2e::imds_client::Found;
use credpin_e2e::reader::Client;
use credpin_e2e::tools::Tools;
use credpin_mock_imds::{Fault, Host, MockImds};
use tokio::time::timeout;

/// Not the one that the environment names: who tells it read the metadata.
const REGION: &str = "eu-south-2";
/// Only a test that hangs waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// It gets what the metadata service issued, once and again, and that is on record.
pub(crate) async fn healthy(client: Client, imdsv2_only: bool) -> Result<()> {
    let tools = Tools::find()?;
    let host = host(&tools, client, imdsv2_only).await?;
    let started = client.start(&tools, host.endpoint(), host.imds())?;
    let first = started.look().await?;
    check(&host, client, &first)?;
    assert_eq!(started.look().await?, first);

    let issued = host.imds().issued();
    assert_eq!(issued.len(), 1, "one set serves them all");
    // Twice where the proxy could not see for once which program asked: then it is another consumer.
    let mut recorded = host.recorded()?;
    recorded.dedup();
    assert_eq!(recorded, [issued[0].access_key_id.clone()]);
    Ok(())
}

/// It takes up the new set once there is one, and both are on record.
pub(crate) async fn rotating(client: Client) -> Result<()> {
    let tools = Tools::find()?;
    let host = host(&tools, client, true).await?;
    let started = client.start(&tools, host.endpoint(), host.imds())?;
    let first = started.look().await?;
    check(&host, client, &first)?;

    host.imds().rotate_credentials();
    let renewed = timeout(PATIENCE, async {
        loop {
            let found = started.look().await?;
            if found != first {
                return anyhow::Ok(found);
            }
        }
    });
    let second = renewed.await.context("it never renewed")??;
    check(&host, client, &second)?;
    let recorded = host.recorded()?;
    assert!(recorded.contains(&first.credentials.access_key_id));
    Ok(())
}

/// It may give up while there is nothing to get, and then gets what there is.
pub(crate) async fn throttled(client: Client) -> Result<()> {
    let tools = Tools::find()?;
    let host = host(&tools, client, true).await?;
    let started = client.start(&tools, host.endpoint(), host.imds())?;
    host.imds().set_fault("/", Fault::Status(503.try_into()?));
    let seen_before = host.imds().requests().len();
    let refused = async {
        let is_refusal = |seen: &credpin_mock_imds::Seen| seen.status.is_some_and(|it| it == 503);
        while !host.imds().requests()[seen_before..].iter().any(is_refusal) {
            tokio::task::yield_now().await;
        }
        host.imds().clear_faults();
    };
    let (found, refused) = tokio::join!(started.look(), timeout(PATIENCE, refused));
    refused.context("nothing was asked")?;
    let found = match found {
        Ok(found) if found.region.is_some() || !client.tells_region() => found,
        _ => started.look().await?,
    };
    check(&host, client, &found)
}

async fn host(tools: &Tools, client: Client, imdsv2_only: bool) -> Result<GuardedHost> {
    let imds = MockImds::builder()
        .host(Host {
            region: REGION.to_owned(),
            ..Host::default()
        })
        .imdsv2_only(imdsv2_only)
        .schedule(client.schedule())
        .start()
        .await?;
    GuardedHost::before(tools, imds, "127.0.0.1:0").await
}

/// The credential was issued last, to the proxy, and is on record.
fn check(host: &GuardedHost, client: Client, found: &Found) -> Result<()> {
    let issued = host.imds().issued();
    let newest = issued.last().context("nothing was issued")?;
    assert_eq!(found.credentials, Credentials::from(newest));
    let region = client.tells_region().then(|| REGION.to_owned());
    assert_eq!(found.region, region);
    let recorded = host.recorded()?;
    ensure!(
        recorded.contains(&newest.access_key_id),
        "{} is not on record",
        newest.access_key_id
    );
    Ok(())
}
