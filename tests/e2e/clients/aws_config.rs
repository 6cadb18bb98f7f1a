//! The AWS SDK for Rust: `aws-config`'s readers of the metadata service, as they come.

use anyhow::{Context, Result};
use aws_config::imds::{Client, credentials::ImdsCredentialsProvider, region::ImdsRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials;

mod peer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    peer::endpoint()?;
    // The metadata service has no TLS, and without a region nothing else is asked for one.
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = ProviderConfig::without_region().with_http_client(http);
    let imds = Client::builder().configure(&config).build();
    let provider = ImdsCredentialsProvider::builder()
        .configure(&config)
        .imds_client(imds.clone())
        .build();
    let region = ImdsRegionProvider::builder().imds_client(imds).build();
    let look = || async {
        let found = provider.provide_credentials().await?;
        let token = found.session_token().context("no session token")?;
        let credential = (
            found.access_key_id().to_owned(),
            found.secret_access_key().to_owned(),
            token.to_owned(),
        );
        let region = region.region().await.map(|region| region.to_string());
        Ok((credential, region))
    };
    peer::answer(look).await
}
