//! However a client speaks, it hears what the metadata service itself would have said.

use std::net::SocketAddr;

use credpin_mock_imds::UserData;

use crate::rig::{ROLE, Rig};
use crate::wire::{Answer, Wire};

const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";

/// How a client speaks.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// A connection for each request.
    Close,
    /// One connection, the next request after the answer.
    KeepAlive,
    /// One connection, every request before the first answer.
    Pipelined,
    /// HTTP/1.0, which names no host.
    Old,
    /// HTTP/1.0 that asks for the connection to be kept.
    OldKeepAlive,
    /// Byte by byte.
    InPieces,
    /// As `printf … | nc` does: its side of the connection ends with the request.
    HalfClosed,
}

const WAYS: [Way; 7] = [
    Way::Close,
    Way::KeepAlive,
    Way::Pipelined,
    Way::Old,
    Way::OldKeepAlive,
    Way::InPieces,
    Way::HalfClosed,
];

/// A request: method, target, and a token or none.
type Ask<'a> = (&'a str, &'a str, Option<&'a str>);

impl Way {
    /// What it writes to ask `server`.
    fn request(self, server: SocketAddr, (method, target, token): Ask<'_>) -> String {
        let (version, host, connection) = match self {
            Self::Close | Self::InPieces => ("1.1", true, "Connection: close\r\n"),
            Self::KeepAlive | Self::Pipelined | Self::HalfClosed => ("1.1", true, ""),
            Self::Old => ("1.0", false, ""),
            Self::OldKeepAlive => ("1.0", true, "Connection: keep-alive\r\n"),
        };
        let host = host.then(|| format!("Host: {server}\r\n"));
        let token = token.map(|token| format!("X-aws-ec2-metadata-token: {token}\r\n"));
        let (host, token) = (host.unwrap_or_default(), token.unwrap_or_default());
        format!("{method} {target} HTTP/{version}\r\n{host}{token}{connection}\r\n")
    }

    /// Asks for all, and returns the answers in the order of the questions.
    async fn ask(self, server: SocketAddr, asked: &[Ask<'_>]) -> Vec<Answer> {
        let requests = asked.iter().map(|one| self.request(server, *one));
        let mut answers = Vec::new();
        match self {
            Self::Pipelined => {
                let mut wire = Wire::to(server).await;
                wire.send(requests.collect::<String>()).await;
                for (method, ..) in asked {
                    answers.push(wire.answer(method).await);
                }
            }
            Self::KeepAlive | Self::OldKeepAlive => {
                let mut wire = Wire::to(server).await;
                for (request, (method, ..)) in requests.zip(asked) {
                    wire.send(request).await;
                    answers.push(wire.answer(method).await);
                }
            }
            Self::Close | Self::Old | Self::InPieces | Self::HalfClosed => {
                for (request, (method, ..)) in requests.zip(asked) {
                    let mut wire = Wire::to(server).await;
                    let piece = if let Self::InPieces = self {
                        1
                    } else {
                        usize::MAX
                    };
                    for piece in request.as_bytes().chunks(piece) {
                        wire.send(piece).await;
                    }
                    if let Self::HalfClosed = self {
                        wire.half_close().await;
                    }
                    answers.push(wire.answer(method).await);
                    wire.end().await;
                }
            }
        }
        answers
    }
}

const ASKED: [(&str, &str); 12] = [
    ("GET", "/"),
    ("GET", "//latest/meta-data/mac"),
    ("GET", "/latest/meta-data/"),
    ("HEAD", "/latest/meta-data/instance-id"),
    ("GET", "/latest/meta-data/instance-id/"),
    ("GET", "/latest/user-data"),
    ("HEAD", "/latest/user-data"),
    ("GET", "/latest/user-data?with=a-query"),
    ("GET", "/latest/meta-data/nothing"),
    ("HEAD", "/latest/meta-data/nothing"),
    ("GET", "/2021-03-23/dynamic/instance-identity/document"),
    ("GET", "/latest/meta-data/iam/security-credentials/"),
];

async fn rig() -> Rig {
    let rig = Rig::start().await;
    // As long as user data may be, with every byte, and it begins with what ends a head.
    let mut binary: Vec<u8> = (0..16 << 10).map(|n: u32| n.to_le_bytes()[0]).collect();
    binary[..4].copy_from_slice(b"\r\n\r\n");
    rig.imds()
        .update_host(|host| host.user_data = Some(UserData::Bytes(binary)));
    rig
}

/// The answer of the metadata service itself. It closes each connection, in whatever way it is asked.
async fn itself(rig: &Rig, way: Way, ask: Ask<'_>) -> Answer {
    let server = rig.imds.addr();
    let mut wire = Wire::to(server).await;
    wire.send(way.request(server, ask)).await;
    wire.answer(ask.0).await
}

#[tokio::test]
async fn without_a_session() {
    let rig = rig().await;
    let asked = ASKED.map(|(method, path)| (method, path, None));
    for imdsv2_only in [false, true] {
        rig.imds().require_tokens(imdsv2_only);
        for way in WAYS {
            let answers = way.ask(rig.proxy.addr, &asked).await;
            for (ask, got) in asked.iter().zip(answers) {
                assert_eq!(got, itself(&rig, way, *ask).await, "{way:?} {ask:?}");
            }
        }
    }
}

#[tokio::test]
async fn in_a_session() {
    let rig = rig().await;
    let ttl = format!("{TTL}: 60\r\n");
    let put = format!("PUT /latest/api/token HTTP/1.0\r\n{ttl}\r\n");
    let mut direct = Wire::to(rig.imds.addr()).await;
    direct.send(put).await;
    let theirs = String::from_utf8(direct.answer("PUT").await.body.into()).unwrap();
    let ours = rig.token().await;
    let mut asked: Vec<_> = ASKED.into();
    asked.extend([("GET", ROLE), ("HEAD", ROLE)]);
    for way in WAYS {
        let ask = |(method, path)| (method, path, Some(&*ours));
        let asks: Vec<_> = asked.iter().copied().map(ask).collect();
        let answers = way.ask(rig.proxy.addr, &asks).await;
        for ((method, path), mut got) in asked.iter().zip(answers) {
            let mut expected = itself(&rig, way, (method, path, Some(&theirs))).await;
            // The two sessions began a moment apart, and end so.
            for answer in [&mut got, &mut expected] {
                let left: u32 = answer.take(TTL).expect("seconds left").parse().unwrap();
                assert!((1..=60).contains(&left), "{left}");
            }
            assert_eq!(got, expected, "{way:?} {method} {path}");
        }
    }
    let records = rig.records().len();
    assert_eq!(records, 1, "one credential, and one consumer of it");
}
