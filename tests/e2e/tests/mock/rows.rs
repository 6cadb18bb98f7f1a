//! What every client goes through that can be told where the metadata service is.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use credpin_e2e::credentials::Credentials;
use credpin_e2e::gate::presigned_by;
use credpin_e2e::imds_client::{Found, ImdsClient};
use credpin_e2e::process::Launch;
use credpin_e2e::reader::{Client, Started};
use credpin_e2e::tools::Tools;
use credpin_mock_imds::{Clock, Fault, Host, ManualClock, MockImds, Seen, SystemClock};
use tokio::time::timeout;

/// Not the one that the environment names: who tells it read the metadata.
const REGION: &str = "eu-south-2";
/// Only a test that hangs waits so long.
const PATIENCE: Duration = Duration::from_mins(1);
const TOKEN: &str = "x-aws-ec2-metadata-token";

/// Whether it asks again when it got a 503, as it comes. `aws-config` makes four attempts, `object_store`
/// ten retries. botocore and the CLI make one attempt (`metadata_service_num_attempts`), the SDK for
/// JavaScript no retry (`maxRetries`), and curl none (`--retry`).
fn tries_again(client: Client) -> bool {
    matches!(client, Client::AwsConfig | Client::ObjectStore)
}

/// It gets what was issued, once and again, in sessions.
pub(crate) async fn healthy(client: Client, imdsv2_only: bool) -> Result<()> {
    let tools = Tools::find()?;
    let (imds, _) = host(client, imdsv2_only).await?;
    let started = start(client, &tools, &imds)?;
    let first = started.look().await?;
    check(&imds, client, &first)?;
    assert_eq!(started.look().await?, first);

    assert_eq!(imds.handle().issued().len(), 1, "one set serves them all");
    let requests = imds.handle().requests();
    let reads = requests.iter().filter(|seen| seen.method == "GET");
    for read in reads {
        assert!(read.headers.contains_key(TOKEN), "{}", read.uri);
    }
    Ok(())
}

/// It takes up the new set once there is one.
pub(crate) async fn rotating(client: Client) -> Result<()> {
    let tools = Tools::find()?;
    let (imds, _) = host(client, true).await?;
    let started = start(client, &tools, &imds)?;
    let first = started.look().await?;
    check(&imds, client, &first)?;

    imds.handle().rotate_credentials();
    let renewed = timeout(PATIENCE, async {
        loop {
            let found = started.look().await?;
            if found != first {
                return anyhow::Ok(found);
            }
        }
    });
    let second = renewed.await.context("it never renewed")??;
    check(&imds, client, &second)?;
    assert_eq!(imds.handle().issued().len(), 2);
    Ok(())
}

/// Two requests are refused. Who tries again gets there at once, and the others when they next look.
pub(crate) async fn refused_twice(client: Client) -> Result<()> {
    let tools = Tools::find()?;
    let (imds, _) = host(client, true).await?;
    let state = imds.handle();
    let started = start(client, &tools, &imds)?;
    if tries_again(client) {
        state.add_fault("/:503:count=2".parse()?);
    } else {
        state.set_fault("/", Fault::Status(503.try_into()?));
        let refused = started.look().await;
        ensure!(refused.is_err(), "it was refused and found {refused:?}");
        ensure!(state.requests().iter().any(is_refusal), "it asked nothing");
        ensure!(state.issued().is_empty());
        state.clear_faults();
    }
    let found = started.look().await?;
    check(&imds, client, &found)?;
    if tries_again(client) {
        let refusals = state.requests().iter().filter(|it| is_refusal(it)).count();
        assert_eq!(refusals, 2);
    }
    Ok(())
}

/// One request a second is answered. The mock's clock stands still until a request was one too many, so
/// that who does not try again is refused however slow it is.
pub(crate) async fn one_a_second(client: Client) -> Result<()> {
    let tools = Tools::find()?;
    let (imds, clock) = host(client, true).await?;
    let state = imds.handle();
    state.set_fault("/", Fault::Throttle(1));
    let started = start(client, &tools, &imds)?;
    let found = if tries_again(client) {
        let seconds = async {
            let mut seen = 0;
            loop {
                let hits = state.faults()[0].hits;
                if hits > seen {
                    seen = hits;
                    clock.advance(Duration::from_secs(1));
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            found = started.look() => found?,
            () = seconds => unreachable!("time has no end"),
        }
    } else {
        let refused = started.look().await;
        ensure!(refused.is_err(), "it was refused and found {refused:?}");
        let answered = state.requests().iter().any(|seen| !is_refusal(seen));
        ensure!(answered, "the first request is not one too many");
        state.clear_faults();
        started.look().await?
    };
    let refused = state.requests().iter().any(is_refusal);
    ensure!(refused, "it never asked too often");
    check(&imds, client, &found)
}

/// With one attempt more than there are refusals they get there; see [`tries_again`].
pub(crate) async fn told_to_try_again() -> Result<()> {
    let tools = Tools::find()?;
    let (imds, _) = host(Client::Boto3, true).await?;
    let state = imds.handle();
    let refuse_thrice = || {
        state.add_fault("/:503:count=3".parse()?);
        anyhow::Ok(())
    };
    let told = |launch: Launch| launch.imds(&imds.endpoint()).imds_attempts(4);

    refuse_thrice()?;
    let found = ImdsClient::start(told(tools.boto3()?))?.look().await?;
    check(&imds, Client::Boto3, &found)?;

    refuse_thrice()?;
    let presign = ["s3", "presign", "s3://bucket/object"];
    let presign = tools.aws()?.args(presign).region(REGION);
    let url = told(presign).finish().await?.success()?;
    assert!(presigned_by(url.trim(), &newest(&imds)?)?);
    let refusals = state.requests().iter().filter(|it| is_refusal(it)).count();
    assert_eq!(refusals, 6);
    Ok(())
}

/// curl, told no session.
pub(crate) async fn without_a_session() -> Result<()> {
    let tools = Tools::find()?;
    for (imdsv2_only, status) in [(false, "200"), (true, "401")] {
        let (imds, _) = host(Client::Curl, imdsv2_only).await?;
        let url = imds.endpoint() + "/latest/meta-data/iam/security-credentials/example-role";
        let curl = tools.system("curl", "curl")?;
        let curl = curl.args(["-q", "-s", "-o", "answer", "-w", "%{http_code}", &url]);
        let said = curl.imds(&imds.endpoint()).finish().await?.success()?;
        assert_eq!(said, status);
        let issued = imds.handle().issued().len();
        assert_eq!(issued, usize::from(!imdsv2_only));
    }
    Ok(())
}

/// A host, and the clock that it goes by: the machine's time, and then still.
async fn host(client: Client, imdsv2_only: bool) -> Result<(MockImds, ManualClock)> {
    let clock = ManualClock::at(SystemClock.now());
    let imds = MockImds::builder()
        .host(Host {
            region: REGION.to_owned(),
            ..Host::default()
        })
        .imdsv2_only(imdsv2_only)
        .schedule(client.schedule())
        .clock(clock.clone())
        .start()
        .await?;
    Ok((imds, clock))
}

fn start<'a>(client: Client, tools: &'a Tools, imds: &MockImds) -> Result<Started<'a>> {
    client.start(tools, imds.endpoint(), imds.handle())
}

fn is_refusal(seen: &Seen) -> bool {
    seen.status.is_some_and(|status| status == 503)
}

fn newest(imds: &MockImds) -> Result<Credentials> {
    let issued = imds.handle().issued();
    issued
        .last()
        .map(Credentials::from)
        .context("nothing was issued")
}

/// The credential was issued last, and the region is the host's.
fn check(imds: &MockImds, client: Client, found: &Found) -> Result<()> {
    assert_eq!(found.credentials, newest(imds)?);
    let region = client.tells_region().then(|| REGION.to_owned());
    assert_eq!(found.region, region);
    Ok(())
}
