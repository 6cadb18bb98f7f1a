//! Clients that nobody here wrote, unmodified, against the mock itself: each gets from it what it gets from
//! the real service, and where that refuses, does as it says that it does.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod guide;
mod image;
mod rows;
mod sealed;

use credpin_e2e::reader::Client;

/// Each client against each kind of host.
macro_rules! tried {
    ($($client:ident: $kind:expr;)*) => {$(
        mod $client {
            use super::{Client, rows};

            #[tokio::test]
            async fn gets_the_current_credential_of_a_healthy_host() -> anyhow::Result<()> {
                rows::healthy($kind, false).await
            }

            #[tokio::test]
            async fn gets_it_with_a_session_where_there_is_no_imdsv1() -> anyhow::Result<()> {
                rows::healthy($kind, true).await
            }

            #[tokio::test]
            async fn takes_up_the_new_set_when_the_credential_rotates() -> anyhow::Result<()> {
                rows::rotating($kind).await
            }

            #[tokio::test]
            async fn does_after_two_refusals_what_it_documents() -> anyhow::Result<()> {
                rows::refused_twice($kind).await
            }

            #[tokio::test]
            async fn does_where_one_request_a_second_is_answered_what_it_documents()
            -> anyhow::Result<()> {
                rows::one_a_second($kind).await
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

#[tokio::test]
async fn botocore_and_the_cli_try_as_often_as_they_are_told_to() -> anyhow::Result<()> {
    rows::told_to_try_again().await
}

#[tokio::test]
async fn who_knows_imdsv1_only_is_served_unless_sessions_are_required() -> anyhow::Result<()> {
    rows::without_a_session().await
}
