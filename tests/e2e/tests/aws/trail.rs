//! CloudTrail as it lies in S3: read by the binary from moto's, and from one that refuses.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use credpin_e2e::{
    account::Account,
    credentials::Credentials,
    moto::Moto,
    process::Finished,
    tools::Tools,
    trail::incident::{A, B, C, DEF, incident},
};
use credpin_ledger::{Access, RecordStore};
use object_store::ObjectStoreExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A bucket with the incident's trail below `org/`.
struct Bucket {
    tools: Tools,
    moto: Moto,
    account: Account,
    files: usize,
}

fn url(endpoint: &str, bucket: &str, prefix: &str) -> String {
    format!("s3://{bucket}/{prefix}?region=eu-west-1&endpoint={endpoint}&sts=off")
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

impl Bucket {
    async fn build() -> Result<Self> {
        let tools = Tools::find()?;
        let moto = Moto::start(&tools).await?;
        let account = Account::sign_in(&tools, &moto)?;
        let place = json!({"LocationConstraint": "eu-west-1"});
        let request = json!({"Bucket": "trail", "CreateBucketConfiguration": place});
        account
            .call("s3", "eu-west-1", "create_bucket", request)
            .await?;

        let variables = [
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let access = Access::Variables(variables.to_vec());
        let store = url(&moto.endpoint(), "trail", "org").parse()?;
        let store = RecordStore::open(&store, &access)?.objects();
        let written = tempfile::tempdir()?;
        incident().write(written.path())?;
        let files = files(written.path());
        for file in &files {
            let name = file.strip_prefix(written.path())?;
            let name = name.to_str().context("a name")?;
            store.put(&name.into(), fs::read(file)?.into()).await?;
        }
        Ok(Self {
            tools,
            moto,
            account,
            files: files.len(),
        })
    }

    async fn trace(&self, bucket: &str, prefix: &str, arguments: &[&str]) -> Result<Finished> {
        let url = url(&self.moto.endpoint(), bucket, prefix);
        trace(&self.tools, &url, arguments).await
    }
}

async fn trace(tools: &Tools, url: &str, arguments: &[&str]) -> Result<Finished> {
    let launch = tools.binary("credpin")?;
    let launch = launch
        .args(["trace", C, "--cloudtrail", url])
        .args(arguments);
    launch.credentials(&Credentials::of_moto()).finish().await
}

#[tokio::test]
async fn a_trail_in_s3_tells_the_same_lineage() -> Result<()> {
    let bucket = Bucket::build().await?;
    for prefix in ["org", "org/AWSLogs/111122223333"] {
        let json = bucket
            .trace("trail", prefix, &["--json"])
            .await?
            .success()?;
        let json: Value = serde_json::from_str(&json)?;
        let nodes = json["trace"]["nodes"].as_array().context("nodes")?.iter();
        let keys: Vec<_> = nodes.map(|node| node["key"].as_str().unwrap()).collect();
        assert_eq!(keys, [A, B, DEF[0], DEF[1], DEF[2], C], "{prefix}");
        assert_eq!(json["reading"]["files"], bucket.files, "{prefix}");
    }
    Ok(())
}

#[tokio::test]
async fn an_object_that_is_no_trail_and_one_that_is_broken_are_told_and_counted() -> Result<()> {
    let bucket = Bucket::build().await?;
    for (key, body) in [
        ("org/AWSLogs/README.txt", "hello"),
        ("org/AWSLogs/cut.json", "{\"Records\":[{"),
    ] {
        let request = json!({"Bucket": "trail", "Key": key, "Body": body});
        bucket
            .account
            .call("s3", "eu-west-1", "put_object", request)
            .await?;
    }
    let ended = bucket.trace("trail", "org", &[]).await?;
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    for wanted in [
        "1 file could not be read",
        "AWSLogs/cut.json: it ends in the middle",
        "1 beside are no records",
    ] {
        assert!(ended.stdout.contains(wanted), "{wanted}: {}", ended.stdout);
    }
    Ok(())
}

#[tokio::test]
async fn a_prefix_without_a_file_and_a_bucket_that_is_not_there_are_errors_that_say_so()
-> Result<()> {
    let bucket = Bucket::build().await?;
    for (name, prefix, wanted) in [
        (
            "trail",
            "nothing",
            "there is no file of CloudTrail records in s3://trail/nothing",
        ),
        ("nobodys", "org", "cannot list the trail s3://nobodys/org"),
    ] {
        let ended = bucket.trace(name, prefix, &[]).await?;
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn a_bucket_that_may_not_be_listed_is_an_error_that_says_so() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let refusing = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = vec![0; 16 << 10];
            let _ = client.read(&mut request).await;
            let body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
            let answer = format!(
                "HTTP/1.1 403 Forbidden\r\ncontent-type: application/xml\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    let ended = trace(&Tools::find()?, &url(&endpoint, "trail", "org"), &[]).await?;
    refusing.abort();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("cannot list the trail s3://trail/org"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("AccessDenied"), "{ended:?}");
    assert_eq!(ended.stdout, "");
    Ok(())
}
