//! One host of the demo: its metadata service, the proxy in front, and a client.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result, ensure};
use credpin_core::{
    estate::{Estate, Instance},
    id::RegionName,
};
use credpin_ledger::StoreUrl;
use credpin_mock_imds::{Host, Interface, MockImds};
use credpin_proxy::{Config, Listeners};
use http_body_util::Full;
use hyper::{Request, body::Bytes};
use serde::Deserialize;
use tokio::{net::TcpListener, sync::oneshot};

use super::HostShown;
use crate::http::exchange;

/// What the guards answered to attempts at theft, as HTTP status codes.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// To a GET without a session token: what a plain SSRF can send.
    pub without_token: u16,
    /// To a request that came by way of a proxy.
    pub forwarded: u16,
}

impl Guards {
    /// Whether neither got anywhere.
    pub fn held(&self) -> bool {
        (self.without_token, self.forwarded) == (401, 403)
    }
}

/// What is read of a credential document; its secrets are not.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    code: String,
    access_key_id: String,
}

/// Starts the host, takes its role's credentials through the proxy, and tries the guards.
pub(super) async fn show(host: Host, ledger: &Path, records: &StoreUrl) -> Result<HostShown> {
    let instance = host.instance_id.clone();
    let role = host.role.clone().context("a host without a role")?;
    let imds = MockImds::builder()
        .host(host)
        .imdsv2_only(false)
        .start()
        .await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = listener.local_addr()?;
    let config = Config {
        upstream: imds.endpoint().parse()?,
        ledger: ledger.to_owned(),
        records: Some(records.clone()),
        ..Config::default()
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(credpin_proxy::run(
        Listeners::from(listener),
        config,
        async {
            // Told to stop, or forgotten: the same.
            stopped.await.ok();
        },
    ));

    let path = format!("/latest/meta-data/iam/security-credentials/{role}");
    let session = ("x-aws-ec2-metadata-token", token(proxy).await?);
    let guards = Guards {
        without_token: get(proxy, &path, &[]).await?.0,
        forwarded: get(
            proxy,
            &path,
            &[session.clone(), ("x-forwarded-for", "203.0.113.66".into())],
        )
        .await?
        .0,
    };
    let (status, body) = get(proxy, &path, &[session]).await?;
    ensure!(
        status == 200,
        "the proxy answered {status} to a client with a session token"
    );
    let document: Document = serde_json::from_slice(&body).context("no credential document")?;
    ensure!(
        document.code == "Success",
        "the credential document says {}",
        document.code
    );

    stop.send(()).ok();
    running.await??;
    Ok(HostShown {
        instance,
        records: credpin_ledger::scan(ledger)?.len(),
        access_key_id: document.access_key_id,
        guards,
    })
}

/// What the host's metadata says of it: what EC2 says.
pub(super) fn described(
    estate: &Estate,
    region: &RegionName,
    instance: &Instance,
    role: &str,
) -> Host {
    Host {
        account: estate.account.iter().map(ToString::to_string).collect(),
        region: region.to_string(),
        instance_id: instance.id.to_string(),
        role: Some(role.to_owned()),
        interface: Interface {
            vpc_id: instance.vpc.to_string(),
            subnet_id: instance.subnet.to_string(),
            private_ipv4s: instance.primary_ipv4.into_iter().collect(),
            public_ipv4s: Vec::new(),
            ..Interface::default()
        },
        ..Host::default()
    }
}

async fn token(proxy: SocketAddr) -> Result<String> {
    let request = Request::put("/latest/api/token")
        .header("host", proxy.to_string())
        .header("x-aws-ec2-metadata-token-ttl-seconds", "60")
        .body(Full::default())?;
    let answer = exchange(proxy, request).await?;
    ensure!(
        answer.status() == 200,
        "no session token: {}",
        answer.status()
    );
    Ok(String::from_utf8(answer.into_body().to_vec())?)
}

async fn get(proxy: SocketAddr, path: &str, headers: &[(&str, String)]) -> Result<(u16, Bytes)> {
    let request = Request::get(path).header("host", proxy.to_string());
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, value)
    });
    let answer = exchange(proxy, request.body(Full::default())?).await?;
    Ok((answer.status().as_u16(), answer.into_body()))
}
