//! How a client in Rust is asked by a test: as `credpin_e2e::imds_client` tells.

use anyhow::Result;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// A credential: access key id, secret and token.
pub(crate) type Credential = (String, String, String);

/// Answers each line of standard input with what `look` finds: a credential and perhaps a region.
pub(crate) async fn answer<F>(mut look: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<(Credential, Option<String>)>>,
{
    let mut questions = BufReader::new(tokio::io::stdin()).lines();
    let mut answers = tokio::io::stdout();
    while let Some(question) = questions.next_line().await? {
        let question: Value = serde_json::from_str(&question)?;
        let mut answer = match look().await {
            Ok(((id, secret, token), region)) => json!({
                "credentials": {"access_key_id": id, "secret_access_key": secret, "token": token},
                "region": region,
            }),
            Err(error) => json!({"error": format!("{error:#}")}),
        };
        answer["id"] = question["id"].clone();
        answers.write_all(format!("{answer}\n").as_bytes()).await?;
        answers.flush().await?;
    }
    Ok(())
}

/// The metadata service that the test named. Without a name some libraries would ask the real one.
pub(crate) fn endpoint() -> Result<String> {
    use anyhow::Context;
    std::env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").context("the test named no metadata service")
}
