//! A mock IMDS, a proxy before it, and a client that writes what it is told to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use credpin_ledger::{Ledger, OpenError, Record, WriteError};
use credpin_mock_imds::{MockImds, State};
use credpin_proxy::{
    BootClock, Clock, Config, Listeners, LiveRules, Machine, Proxy, SessionKey, StartError,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::disk::{Lever, Levered};

pub(crate) const ROLE: &str = "/latest/meta-data/iam/security-credentials/example-role";
const BOOT: &str = "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968";
/// Only a test that hangs waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy with all that is around it.
pub(crate) struct Rig {
    pub(crate) imds: MockImds,
    pub(crate) lever: Arc<Lever>,
    pub(crate) dir: TempDir,
    pub(crate) proxy: Running,
    config: Config,
}

/// A proxy that runs until it is stopped.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) rules: LiveRules,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// What a server sent.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A proxy whose config is the default but for what `change` does.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        logs();
        let imds = MockImds::builder().start().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config {
            upstream: imds.endpoint().parse().unwrap(),
            ledger: dir.path().join("ledger"),
            ..Config::default()
        };
        change(&mut config);
        let lever = Arc::default();
        let proxy = start(&config, &lever).await.unwrap();
        Self {
            imds,
            lever,
            dir,
            proxy,
            config,
        }
    }

    /// Ends the proxy and starts another on the same ledger.
    pub(crate) async fn restart(&mut self) {
        self.proxy.stop().await;
        self.proxy = start(&self.config, &self.lever).await.unwrap();
    }

    pub(crate) fn imds(&self) -> Arc<State> {
        self.imds.handle()
    }

    /// Lets IMDS rotate its credentials, and asks the proxy until it has noticed: the first answer that
    /// is not the old credential.
    pub(crate) async fn rotated(&self) -> Reply {
        let token = self.token().await;
        let before = self.imds().issued().len();
        self.imds().rotate_credentials();
        let noticed = async {
            loop {
                let reply = self.get(ROLE, &token).await;
                let issued = self.imds().issued();
                let new = issued.get(before);
                if reply.status != 200 || new.is_some_and(|new| reply.has(&new.access_key_id)) {
                    return reply;
                }
            }
        };
        let noticed = timeout(PATIENCE, noticed).await;
        noticed.expect("within `cache-recheck`")
    }

    /// How often IMDS was asked for `path`.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let seen = self.imds().requests();
        seen.iter().filter(|seen| seen.uri.path() == path).count()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        credpin_ledger::scan(&self.dir.path().join("ledger")).unwrap()
    }

    /// A session token, from IMDS through the proxy.
    pub(crate) async fn token(&self) -> String {
        let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
        let reply = self.ask("PUT", "/latest/api/token", ttl).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        String::from_utf8(reply.body).unwrap()
    }

    /// A credential, as an SDK asks for it.
    pub(crate) async fn credential(&self) -> Reply {
        let token = self.token().await;
        self.get(ROLE, &token).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Reply {
        let token = format!("X-aws-ec2-metadata-token: {token}\r\n");
        self.ask("GET", path, &token).await
    }

    /// One request with the right `Host`, and `headers` as they are.
    pub(crate) async fn ask(&self, method: &str, target: &str, headers: &str) -> Reply {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: 169.254.169.254\r\n{headers}Connection: close\r\n\r\n"
        );
        talk(self.proxy.addr, head.as_bytes()).await
    }

    pub(crate) async fn admin(&self, path: &str) -> Reply {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        talk(self.proxy.admin, head.as_bytes()).await
    }

    /// Waits until the proxy says that it is ready.
    pub(crate) async fn ready(&self) {
        let ready = async {
            while self.admin("/readyz").await.status != 200 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, ready).await.expect("it gets ready");
    }

    /// Waits until a line of /metrics is `line`.
    pub(crate) async fn metric(&self, line: &str) {
        self.metric_where(|other| other == line).await;
    }

    /// Waits until a line of /metrics is as it should be.
    pub(crate) async fn metric_where(&self, should_be: impl Fn(&str) -> bool) {
        let there = async {
            while !self.admin("/metrics").await.text().lines().any(&should_be) {
                tokio::task::yield_now().await;
            }
        };
        let came = timeout(PATIENCE, there).await.is_ok();
        assert!(came, "{}", self.admin("/metrics").await.text());
    }
}

impl Running {
    pub(crate) async fn stop(&mut self) {
        drop(self.stop.take());
        let ended = timeout(PATIENCE, &mut self.task).await;
        ended.expect("it ends").unwrap();
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value)
    }

    /// Whether it is IMDS's own kind of answer, without a word about why.
    pub(crate) fn is_imds_error(&self, status: u16) -> bool {
        let text = self.text();
        let looks = if status == 405 {
            text.is_empty()
        } else {
            text.starts_with("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>")
                && text.contains(&format!("<title>{status} - "))
        };
        self.status == status
            && self.header("server") == Some("EC2ws")
            && self.header("accept-ranges") == Some("none")
            && looks
    }
}

/// Starts a proxy on ports that are free.
pub(crate) async fn start(config: &Config, lever: &Arc<Lever>) -> Result<Running, StartError> {
    let (imds, admin) = (listener().await, listener().await);
    let (addr, admin_addr) = (imds.local_addr().unwrap(), admin.local_addr().unwrap());
    let listeners = Listeners {
        imds: vec![imds],
        admin: Some(admin.into()),
    };
    let (path, lever, ahead) = (config.ledger.clone(), Arc::clone(lever), Arc::clone(lever));
    let machine = Machine {
        clock: Clock::new(move || Clock::system().now() + *ahead.ahead.lock().unwrap()),
        boot_clock: BootClock::system(),
        // The same for all: what one proxy of a test issues, another takes.
        session_key: SessionKey::from([7; 32]),
        open_ledger: Box::new(move || {
            let disk = Levered::open(&path, &lever)?;
            Ledger::open(Box::new(disk), BOOT.parse().unwrap())
        }),
    };
    let proxy = Proxy::start(listeners, config.clone(), machine).await?;
    let rules = proxy.rules();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(proxy.run(async move { drop(stopped.await) }));
    Ok(Running {
        addr,
        admin: admin_addr,
        rules,
        stop: Some(stop),
        task,
    })
}

/// Why a proxy that did not start could not open its ledger.
pub(crate) fn not_opened(refused: &StartError) -> &OpenError {
    match refused {
        StartError::Ledger(WriteError::Open(error)) => error,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Writes `request` and reads to the end.
pub(crate) async fn talk(addr: SocketAddr, request: &[u8]) -> Reply {
    talk_on(TcpStream::connect(addr).await.unwrap(), request).await
}

/// The same, as another consumer: from another address of the loopback.
pub(crate) async fn talk_from(from: &str, addr: SocketAddr, request: &[u8]) -> Reply {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    talk_on(socket.connect(addr).await.unwrap(), request).await
}

async fn talk_on(mut stream: TcpStream, request: &[u8]) -> Reply {
    stream.write_all(request).await.unwrap();
    read(&mut stream).await
}

/// Reads an answer to the end of its connection.
pub(crate) async fn read(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let all = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    all.expect("an answer").unwrap();
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let split = split.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(&bytes)));
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
    Reply {
        status: head[9..12].parse().unwrap(),
        head,
        body: bytes[split + 4..].to_vec(),
    }
}

/// All that was logged by this process, at every level.
pub(crate) fn logs() -> Arc<Mutex<Vec<u8>>> {
    static LOGS: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    let logs = LOGS.get_or_init(|| {
        let logs: Arc<Mutex<Vec<u8>>> = Arc::default();
        let into = Arc::clone(&logs);
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || Pen(Arc::clone(&into)))
            .init();
        logs
    });
    Arc::clone(logs)
}

struct Pen(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
