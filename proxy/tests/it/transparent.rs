//! What an application does with IMDS, it does with the proxy.

use credpin_mock_imds::{Host, UserData};

use crate::rig::{ROLE, Rig, talk};

/// Name and value of each header that the mock saw last, but for `Host`.
fn last_headers(rig: &Rig) -> Vec<(String, String)> {
    let requests = rig.imds().requests();
    let headers = &requests.last().unwrap().headers;
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let mut seen: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    assert_eq!(
        headers.get("host").map(text),
        Some(rig.imds.addr().to_string())
    );
    seen.retain(|(name, _)| name != "host");
    seen.sort();
    seen
}

#[tokio::test]
async fn nothing_is_added_to_what_goes_upstream() {
    let rig = Rig::start().await;
    rig.ask("GET", "//latest/meta-data/mac", "").await;
    assert_eq!(last_headers(&rig), []);
    assert_eq!(
        rig.imds().requests().last().unwrap().uri,
        "/latest/meta-data/mac"
    );

    let token = rig.token().await;
    let headers = format!(
        "User-Agent: sdk/1\r\nAccept: */*\r\nKeep-Alive: 5\r\nX-aws-ec2-metadata-token: {token}\r\n"
    );
    assert_eq!(
        rig.ask("GET", "/latest/meta-data/", &headers).await.status,
        200
    );
    let seen = last_headers(&rig);
    let names: Vec<_> = seen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["accept", "user-agent", "x-aws-ec2-metadata-token"]);
    assert_ne!(
        seen[2].1, token,
        "the proxy's own session, not the client's"
    );
}

#[tokio::test]
async fn what_imds_answers_comes_as_it_is() {
    let rig = Rig::start().await;
    let binary: Vec<u8> = (0..16 << 10).map(|n: u32| n.to_le_bytes()[0]).collect();
    rig.imds()
        .update_host(|host: &mut Host| host.user_data = Some(UserData::Bytes(binary.clone())));
    let direct = rig.imds.addr();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/latest/meta-data/"),
        ("GET", "/latest/meta-data/instance-id"),
        ("GET", "/latest/meta-data/instance-id/"),
        ("GET", "/2021-03-23/meta-data/mac"),
        ("GET", "/latest/user-data"),
        ("GET", "/latest/dynamic/instance-identity/document"),
        ("GET", "/latest/meta-data/iam/security-credentials"),
        ("GET", "/latest/meta-data/iam/security-credentials/"),
        ("GET", "/latest/meta-data/nothing"),
        ("GET", "/latest/meta-data/spot/instance-action"),
        ("HEAD", "/latest/user-data"),
        ("HEAD", "/latest/meta-data/nothing"),
        ("GET", "/latest/api/token"),
    ] {
        let proxied = rig.ask(method, path, "").await;
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {direct}\r\nConnection: close\r\n\r\n");
        let plain = talk(direct, head.as_bytes()).await;
        assert_eq!(proxied.status, plain.status, "{method} {path}");
        assert_eq!(proxied.body, plain.body, "{method} {path}");
        let lines = |head: &str| {
            let mut lines: Vec<_> = head.lines().skip(1).map(str::to_owned).collect();
            lines.retain(|line| !line.to_ascii_lowercase().starts_with("date:"));
            lines.sort();
            lines
        };
        assert_eq!(lines(&proxied.head), lines(&plain.head), "{method} {path}");
    }
    assert_eq!(rig.ask("GET", "/latest/user-data", "").await.body, binary);
}

#[tokio::test]
async fn a_head_of_a_credential_gives_nothing_away_and_records_nothing() {
    let rig = Rig::start().await;
    let token = format!("X-aws-ec2-metadata-token: {}\r\n", rig.token().await);
    let reply = rig.ask("HEAD", ROLE, &token).await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert!(
        reply
            .header("content-length")
            .is_some_and(|length| length != "0")
    );
    assert!(rig.records().is_empty());
}

#[tokio::test]
async fn old_and_hasty_clients_are_served() {
    let rig = Rig::start().await;
    let reply = talk(
        rig.proxy.addr,
        b"GET /latest/meta-data/mac HTTP/1.0\r\n\r\n",
    )
    .await;
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (200, "0e:00:00:00:00:0a")
    );
    let one = "GET /latest/meta-data/mac HTTP/1.1\r\nHost: 169.254.169.254\r\n";
    let two = format!("{one}\r\n{one}Connection: close\r\n\r\n");
    let replies = talk(rig.proxy.addr, two.as_bytes()).await;
    assert_eq!(
        replies.text().matches("200 OK").count(),
        1,
        "after the first one"
    );
    assert!(replies.text().ends_with("0e:00:00:00:00:0a"));
}
