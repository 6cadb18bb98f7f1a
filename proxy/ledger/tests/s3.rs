//! What S3 and STS can answer that moto cannot be made to.

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::error::Error;
use std::sync::{Arc, Mutex};

use credpin_ledger::{
    Access, AwsCredential, Consumer, Credentials, Directory, Host, ImdsVersion, Kind, Ledger,
    Record, RecordStore, Round, SCHEMA, ShipError, Shipper, StoreError, StoreUrl, Writer,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

const BOOT: &str = "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN";
const SECRET: &str = "wJalrXUtnFEMIEXAMPLEKEY";
const WHO: &str = "<GetCallerIdentityResponse><GetCallerIdentityResult><UserId>AROAEXAMPLE:i-0abc</UserId>\
    </GetCallerIdentityResult></GetCallerIdentityResponse>";

/// Status and body of an answer, by method.
type Script = Vec<(&'static str, u16, String)>;

/// A server that answers by its script, S3 and STS in one: STS's requests are POST.
struct Server {
    url: String,
    /// First lines of the requests that came.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                let (mut head, mut length) = (Vec::new(), 0);
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    let line = line.trim().to_lowercase();
                    if line.is_empty() {
                        break;
                    }
                    if let Some(value) = line.strip_prefix("content-length: ") {
                        length = value.parse().unwrap();
                    }
                    head.push(line);
                }
                stream.read_exact(&mut vec![0; length]).await.unwrap();
                let first = head.remove(0);
                let found = script
                    .iter()
                    .find(|(method, ..)| first.starts_with(&method.to_lowercase()));
                let (_, status, body) = found.unwrap();
                seen.lock().unwrap().push(first);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nETag: \"1\"\r\nConnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, requests }
    }

    fn store_url(&self) -> StoreUrl {
        let url = &self.url;
        let text = format!("s3://bucket/fleet?region=eu-west-1&endpoint={url}&sts={url}");
        text.parse().unwrap()
    }

    fn requests(&self, method: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        let of = |line: &&String| line.starts_with(&method.to_lowercase());
        requests.iter().filter(of).count()
    }
}

fn access() -> Access {
    let credential = || AwsCredential {
        key_id: "ASIAEXAMPLE".into(),
        secret_key: SECRET.into(),
        token: Some(TOKEN.into()),
    };
    Access::Host {
        credentials: Credentials::new(move || async move { Ok(credential()) }),
        region: "eu-central-1".into(),
    }
}

/// Ships one record.
async fn ship(server: &Server) -> Round {
    let dir = TempDir::new().unwrap();
    let ledger = dir.path().to_owned();
    let open = move || Ledger::open(Box::new(Directory::open(&ledger)?), BOOT.parse().unwrap());
    let time = "2026-05-04T09:00:00Z".parse().unwrap();
    let writer = Writer::start(time, open).unwrap();
    let host = Host {
        account: "111122223333".into(),
        region: "eu-west-1".into(),
        instance_id: "i-0abc".into(),
        ..Host::default()
    };
    let record = Record {
        schema: SCHEMA,
        kind: Kind::Issued,
        time,
        boot_id: String::new(),
        seq: 0,
        host: host.clone(),
        role: "web".into(),
        access_key_id: "ASIAEXAMPLE".into(),
        issued: time,
        expires: time,
        consumer: Consumer::at([127, 0, 0, 1].into()),
        imds_version: ImdsVersion::V2,
        proxy_version: "0".into(),
    };
    writer.record(record).await.unwrap();
    let open = || async { RecordStore::open(&server.store_url(), &access()) };
    let round = Shipper::new(writer.clone()).round(&host, open).await;
    writer.close().await;
    round
}

fn told(error: &dyn Error) -> String {
    let source = error.source().map(told).unwrap_or_default();
    format!("{error} {error:?} {source}")
}

fn error(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Token-0>{TOKEN}</Token-0></Error>")
}

#[tokio::test]
async fn it_goes_under_the_name_that_sts_tells() {
    let server = Server::start(vec![("POST", 200, WHO.into()), ("PUT", 200, String::new())]).await;
    let round = ship(&server).await;
    assert_eq!((round.shipped, round.errors.len()), (1, 0), "{round:?}");
    let requests = server.requests.lock().unwrap().clone();
    let name = "put /bucket/fleet/records/v1/dt=2026-05-04/hr=09/account=111122223333/\
        region=eu-west-1/aroaexample:i-0abc/";
    let put = requests[1].replace("%3a", ":").replace("%3d", "=");
    assert!(put.starts_with(name), "{put}");
}

#[tokio::test]
async fn what_a_store_answers_is_told_without_the_token_that_it_repeats() {
    for (status, code) in [
        (400, "InvalidToken"),
        (400, "ExpiredToken"),
        (403, "SignatureDoesNotMatch"),
        (403, "AccessDenied"),
        (500, "InternalError"),
        (301, "PermanentRedirect"),
    ] {
        let script = vec![("POST", 200, WHO.into()), ("PUT", status, error(code))];
        let round = ship(&Server::start(script).await).await;
        assert_eq!((round.shipped, round.pending), (0, 1), "{code}");
        let told = told(&round.errors[0]);
        assert!(!told.contains(TOKEN) && !told.contains(SECRET), "{told}");
        assert!(status == 301 || told.contains(code), "{told}");
    }
}

#[tokio::test]
async fn what_may_not_be_read_is_taken_for_ours_where_s3_has_it_for_sure() {
    for (status, code, shipped) in [
        (412, "PreconditionFailed", 1),
        (409, "ConditionalRequestConflict", 0),
    ] {
        let script = vec![
            ("POST", 200, WHO.into()),
            ("PUT", status, error(code)),
            ("GET", 403, error("AccessDenied")),
        ];
        let round = ship(&Server::start(script).await).await;
        assert_eq!(
            (round.shipped, round.pending),
            (shipped, 1 - shipped),
            "{round:?}"
        );
    }
}

#[tokio::test]
async fn without_its_name_a_host_sends_nothing() {
    let who = |text: &str| WHO.replace("AROAEXAMPLE:i-0abc", text);
    for (status, body, says) in [
        (
            403,
            error("InvalidClientTokenId"),
            "403 InvalidClientTokenId",
        ),
        (403, TOKEN.to_owned(), "answers 403 "),
        (200, String::new(), "not the credentials of an instance"),
        (
            200,
            who("AIDAEXAMPLE"),
            "not the credentials of an instance",
        ),
        (
            200,
            who("AROAEXAMPLE:alice"),
            "not the credentials of an instance",
        ),
        (200, who("i-0abc"), "not the credentials of an instance"),
        (
            200,
            who("AROAEXAMPLE:i-0abc/../x"),
            "not the credentials of an instance",
        ),
    ] {
        let server = Server::start(vec![("POST", status, body)]).await;
        let round = ship(&server).await;
        assert!(
            matches!(&round.errors[..], [ShipError::Who(_)]),
            "{round:?}"
        );
        let told = told(&round.errors[0]);
        assert!(told.contains(says) && !told.contains(TOKEN), "{told}");
        assert_eq!((round.pending, server.requests("PUT")), (1, 0));
    }
}

#[tokio::test]
async fn whether_the_bucket_is_there_is_asked_unsigned() {
    let region = String::new();
    let access = Access::Nobody { region };
    for (status, code, there) in [
        (403, "AccessDenied", true),
        (404, "NoSuchKey", true),
        (404, "NoSuchBucket", false),
        (301, "PermanentRedirect", false),
    ] {
        let server = Server::start(vec![("GET", status, error(code))]).await;
        let store = RecordStore::open(&server.store_url(), &access).unwrap();
        assert_eq!(store.reach().await.is_ok(), there, "{code}");
    }
}

#[test]
fn a_bucket_without_a_region_says_how_to_name_it() {
    let access = |region: &str| Access::Nobody {
        region: region.into(),
    };
    let open = |url: &str, region| RecordStore::open(&url.parse().unwrap(), &access(region));
    let error = open("s3://bucket", "").unwrap_err();
    assert!(matches!(error, StoreError::NoRegion { .. }));
    assert!(error.to_string().contains("s3://bucket?region=REGION"));
    open("s3://bucket", "eu-west-1").unwrap();
    open("s3://bucket?region=cn-north-1", "").unwrap();
    open("s3://a.dotted.bucket", "eu-west-1").unwrap();
}
