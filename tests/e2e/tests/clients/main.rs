//! Clients that nobody here wrote, unmodified, against the real proxy before a metadata service: each
//! gets what it would get without the proxy, and what it holds is on record.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod rows;
mod scripted;
mod sealed;
mod transparent;
mod wire;

use credpin_e2e::reader::Client;

/// Each client against each kind of host.
macro_rules! tried {
    ($($client:ident: $kind:expr;)*) => {$(
        mod $client {
            use super::{Client, rows};

            #[tokio::test]
            async fn on_a_healthy_host() -> anyhow::Result<()> {
                rows::healthy($kind, false).await
            }

            #[tokio::test]
            async fn on_a_host_without_imdsv1() -> anyhow::Result<()> {
                rows::healthy($kind, true).await
            }

            #[tokio::test]
            async fn renews_when_the_credential_rotates() -> anyhow::Result<()> {
                rows::rotating($kind).await
            }

            #[tokio::test]
            async fn gets_there_when_the_metadata_service_throttles() -> anyhow::Result<()> {
                rows::throttled($kind).await
            }
        }
    )*};
}

tried! {
    boto3: Client::Boto3;
    aws_cli: Client::AwsCli;
    javascript: Client::Javascript;
    aws_config: Client::AwsConfig;
    object_store: Client::ObjectStore;
    curl: Client::Curl;
}
