//! A stand-in for IMDS that costs next to nothing: answers made once, and one thread.
//!
//! It checks no token and forgets nothing, because what is measured is what stands before it.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::message::{self, ROLE};

/// Starts one on a loopback port, in a thread that ends with the process. Its credentials are of
/// six hours from `now`.
pub fn start(now: Timestamp) -> Result<SocketAddr> {
    let (ready, address) = mpsc::channel();
    thread::spawn(move || {
        let served = serve(&Rc::new(Answers::new(now)), &ready);
        if let Err(error) = served {
            eprintln!("bench: the stand-in for IMDS ended: {error:#}");
        }
    });
    address
        .recv()
        .context("the stand-in for IMDS did not start")
}

/// Every answer, as bytes to be written.
struct Answers {
    token: Vec<u8>,
    role: Vec<u8>,
    credential: Vec<u8>,
    identity: Vec<u8>,
    event: Vec<u8>,
    missing: Vec<u8>,
}

fn serve(answers: &Rc<Answers>, ready: &mpsc::Sender<SocketAddr>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        ready.send(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answers = Rc::clone(answers);
            tokio::task::spawn_local(async move { answers.connection(stream).await });
        }
    })
}

impl Answers {
    fn new(now: Timestamp) -> Self {
        let expires = now + SignedDuration::from_hours(6);
        // As long as a real one, about 900 characters.
        let secret = "s".repeat(40);
        let token = "t".repeat(900);
        let credential = format!(
            "{{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"{now:.0}\",\n  \"Type\" : \"AWS-HMAC\",\n  \
             \"AccessKeyId\" : \"ASIABENCHBENCHBENCH0\",\n  \"SecretAccessKey\" : \"{secret}\",\n  \
             \"Token\" : \"{token}\",\n  \"Expiration\" : \"{expires:.0}\"\n}}"
        );
        let identity = "{\"accountId\":\"111122223333\",\"region\":\"eu-west-1\",\
                        \"availabilityZone\":\"eu-west-1a\",\"instanceId\":\"i-0123456789abcdef0\",\
                        \"privateIp\":\"10.0.0.1\"}";
        let event = format!("{{\"noticeTime\":\"{now:.0}\"}}");
        let ok = |body: &str| answer("200 OK", "", body);
        let ttl = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21600\r\n";
        Self {
            token: answer("200 OK", ttl, &"b".repeat(56)),
            role: ok(ROLE),
            credential: ok(&credential),
            identity: ok(identity),
            event: ok(&event),
            missing: answer("404 Not Found", "", ""),
        }
    }

    async fn connection(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut buffer = Vec::with_capacity(4096);
        while stream.read_buf(&mut buffer).await? > 0 {
            // Nobody who asks it pipelines, and no request has a body.
            if buffer.ends_with(b"\r\n\r\n") {
                stream.write_all(self.to(&buffer)).await?;
                buffer.clear();
            }
        }
        Ok(())
    }

    fn to(&self, request: &[u8]) -> &[u8] {
        let mut words = request.split(|byte| *byte == b' ');
        let method = words.next().unwrap_or_default();
        let path = words.next().unwrap_or_default();
        let path = std::str::from_utf8(path).unwrap_or_default();
        match path.trim_start_matches("/latest/") {
            "api/token" if method == b"PUT" => &self.token,
            "meta-data/iam/security-credentials/" => &self.role,
            "dynamic/instance-identity/document" => &self.identity,
            _ if path == message::EVENT => &self.event,
            _ if path == message::credentials() => &self.credential,
            _ => &self.missing,
        }
    }
}

/// An answer with the headers of IMDS's.
fn answer(status: &str, header: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nAccept-Ranges: none\r\n\
         Last-Modified: Mon, 04 May 2026 09:00:00 GMT\r\nContent-Length: {}\r\n\
         Date: Mon, 04 May 2026 10:00:00 GMT\r\nServer: EC2ws\r\n{header}\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}
