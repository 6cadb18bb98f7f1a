//! With the proxy in between, an answer is what it would be without: byte for byte, but for what belongs
//! to a connection.

use std::net::SocketAddr;

use anyhow::Result;
use credpin_e2e::guarded::{GuardedHost, Proxy};
use credpin_e2e::tools::Tools;
use credpin_mock_imds::{Host, MockImds, UserData};

use crate::scripted::{ANSWERS, Scripted};
use crate::wire::{Answer, Connection, ask};

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// What `Host` says, by the family that the proxy is reached over.
const ADDRESSES: [(&str, &str); 2] = [
    ("127.0.0.1:0", "169.254.169.254"),
    ("[::1]:0", "[fd00:ec2::254]"),
];
const READS: [&str; 17] = [
    "/",
    "/latest",
    "/latest/",
    "//latest/meta-data/mac",
    "/latest//meta-data//mac",
    "/latest/meta-data/",
    "/latest/meta-data/instance-id",
    "/latest/meta-data/instance-id/",
    "/2009-04-04/meta-data/instance-id",
    "/2021-03-23/meta-data/placement/availability-zone/",
    "/1.0/meta-data",
    "/latest/user-data",
    "/latest/dynamic/instance-identity/document",
    "/latest/meta-data/iam/security-credentials/",
    "/latest/meta-data/spot/instance-action",
    "/latest/meta-data/no/such/thing",
    "/2001-01-01/meta-data/",
];

/// A host whose user data is 16 KiB of every byte.
async fn host(tools: &Tools, listen: &str) -> Result<GuardedHost> {
    let bytes = (0..16 << 10).map(|n: u32| n.to_le_bytes()[0]).collect();
    let imds = MockImds::builder().host(Host {
        user_data: Some(UserData::Bytes(bytes)),
        ..Host::default()
    });
    GuardedHost::before(tools, imds.start().await?, listen).await
}

/// A session of whoever is asked: the proxy's are its own.
async fn session(of: SocketAddr, authority: &str) -> Result<String> {
    let request =
        format!("PUT /latest/api/token HTTP/1.1\r\nHost: {authority}\r\n{TTL}: 21600\r\n\r\n");
    let answer = ask(of, "PUT", &request).await?;
    assert_eq!(answer.header(TTL), Some("21600"), "{answer:?}");
    Ok(String::from_utf8(answer.body)?)
}

/// The same, but for the seconds that a session has left, which pass.
fn without_seconds_left(answer: Answer) -> Answer {
    let mut answer = answer.content();
    for (name, value) in &mut answer.headers {
        if name == TTL {
            assert!((21_500..=21_600).contains(&value.parse().unwrap()));
            value.clear();
        }
    }
    answer
}

#[tokio::test]
async fn every_read_is_answered_as_without_the_proxy() -> Result<()> {
    let tools = Tools::find()?;
    for (listen, authority) in ADDRESSES {
        let host = host(&tools, listen).await?;
        let (proxy, imds) = (host.proxy().address(), host.imds_address());
        let direct_host = imds.to_string();
        let (ours, theirs) = (
            session(proxy, authority).await?,
            session(imds, &direct_host).await?,
        );
        for path in READS {
            for method in ["GET", "HEAD"] {
                for version in ["HTTP/1.1", "HTTP/1.0"] {
                    for with_session in [false, true] {
                        let request = |authority: &str, token: &str| {
                            let session = if with_session {
                                format!("X-aws-ec2-metadata-token: {token}\r\n")
                            } else {
                                String::new()
                            };
                            format!(
                                "{method} {path} {version}\r\nHost: {authority}\r\n{session}\r\n"
                            )
                        };
                        let proxied = ask(proxy, method, &request(authority, &ours)).await?;
                        let direct = ask(imds, method, &request(&direct_host, &theirs)).await?;
                        assert_eq!(
                            without_seconds_left(proxied),
                            without_seconds_left(direct),
                            "{method} {path} {version}, session: {with_session}, {listen}"
                        );
                    }
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_refusal_of_a_session_is_as_without_the_proxy() -> Result<()> {
    let tools = Tools::find()?;
    let host = host(&tools, "127.0.0.1:0").await?;
    let mac = "/latest/meta-data/mac";
    for (method, path, headers) in [
        ("PUT", "/latest/api/token", ""),
        (
            "PUT",
            "/latest/api/token",
            "X-aws-ec2-metadata-token-ttl-seconds: 0\r\n",
        ),
        (
            "PUT",
            "/latest/api/token",
            "X-aws-ec2-metadata-token-ttl-seconds: 21601\r\n",
        ),
        (
            "PUT",
            "/latest/api/token",
            "X-aws-ec2-metadata-token-ttl-seconds: +60\r\n",
        ),
        (
            "PUT",
            "/latest/api/token",
            "X-aws-ec2-metadata-token-ttl-seconds: sixty\r\n",
        ),
        (
            "PUT",
            "/latest/api/token",
            "X-aws-ec2-metadata-token-ttl-seconds: 60\r\nX-Forwarded-For: 192.0.2.1\r\n",
        ),
        ("GET", "/latest/api/token", ""),
        ("HEAD", "/latest/api/token", ""),
        ("POST", "/latest/api/token", ""),
        ("GET", mac, "X-aws-ec2-metadata-token: forged\r\n"),
        ("GET", mac, "X-aws-ec2-metadata-token: \r\n"),
        ("GET", mac, "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n"),
        ("PUT", mac, ""),
        ("DELETE", mac, ""),
    ] {
        let request = |host: &str| {
            format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: 0\r\n\r\n"
            )
        };
        let imds = host.imds_address();
        let proxied = ask(host.proxy().address(), method, &request("169.254.169.254")).await?;
        let direct = ask(imds, method, &request(&imds.to_string())).await?;
        let [proxied, direct] = [proxied, direct].map(Answer::content);
        assert_eq!(proxied, direct, "{method} {path} {headers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn however_a_body_is_framed_it_arrives_whole() -> Result<()> {
    let tools = Tools::find()?;
    let upstream = Scripted::start().await?;
    let proxy = Proxy::start(&tools, &upstream.endpoint(), "127.0.0.1:0", &[]).await?;
    for (path, _) in ANSWERS {
        for method in ["GET", "HEAD"] {
            for version in ["HTTP/1.1", "HTTP/1.0"] {
                let request = format!("{method} {path} {version}\r\nHost: 169.254.169.254\r\n\r\n");
                let proxied = ask(proxy.address(), method, &request).await?;
                let direct = ask(upstream.address(), method, &request).await?;
                let what = format!("{method} {path} {version}");
                if version == "HTTP/1.0" {
                    assert_eq!(proxied.header("transfer-encoding"), None, "{what}");
                }
                assert_eq!(proxied.status, direct.status, "{what}");
                assert_eq!(proxied.body, direct.body, "{what}");
                let headers = |answer: Answer| {
                    let mut headers = answer.content().headers;
                    // What frames the body is each connection's own affair.
                    headers.retain(|(name, _)| name != "content-length");
                    headers
                };
                assert_eq!(headers(proxied), headers(direct), "{what}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order_until_it_closes() -> Result<()> {
    let tools = Tools::find()?;
    let host = host(&tools, "127.0.0.1:0").await?;
    let asked = [
        ("GET", "/latest/meta-data/mac"),
        ("HEAD", "/latest/user-data"),
        ("GET", "/latest/user-data"),
        ("GET", "/latest/meta-data/instance-id"),
    ];
    let request = |(method, path): (&str, &str)| {
        format!("{method} {path} HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n")
    };
    let mut expected = Vec::new();
    for (method, path) in asked {
        let imds = host.imds_address();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {imds}\r\n\r\n");
        expected.push(ask(imds, method, &request).await?.content());
    }
    for pipelined in [false, true] {
        let mut connection = Connection::open(host.proxy().address()).await?;
        if pipelined {
            let all: String = asked.into_iter().map(request).collect();
            connection.send(&all).await?;
        }
        for (asked, expected) in asked.into_iter().zip(&expected) {
            if !pipelined {
                connection.send(&request(asked)).await?;
            }
            let answer = connection.answer(asked.0).await?;
            let is_last = answer.is_last();
            assert_eq!(
                answer.content(),
                *expected,
                "{asked:?}, pipelined: {pipelined}"
            );
            if is_last {
                assert!(connection.ends().await?, "it said that it would");
                break;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn curl_prints_what_it_prints_without_the_proxy() -> Result<()> {
    let tools = Tools::find()?;
    let host = host(&tools, "127.0.0.1:0").await?;
    let direct = format!("http://{}", host.imds_address());
    for options in [
        &["-i"][..],
        &["-i", "--http1.0"],
        &["-I"],
        &["-i", "--path-as-is"],
    ] {
        for path in [
            "/latest/user-data",
            "//latest/meta-data/mac",
            "/latest/meta-data/no",
        ] {
            let mut printed = Vec::new();
            for endpoint in [&host.endpoint(), &direct] {
                let curl = tools.system("curl", "curl")?.args(["-q", "-s", "-S"]);
                // Twice, on one connection where the server lets it.
                let url = format!("{endpoint}{path}");
                let curl = curl.args(options).args([&url, &url]).imds(endpoint);
                let text = curl.finish().await?.success()?;
                let lines = text.lines().filter(|line| {
                    let line = line.to_ascii_lowercase();
                    !line.starts_with("date:") && !line.starts_with("connection:")
                });
                let mut lines: Vec<_> = lines.map(str::to_owned).collect();
                lines.sort();
                printed.push(lines);
            }
            assert_eq!(printed[0], printed[1], "{options:?} {path}");
        }
    }
    Ok(())
}
