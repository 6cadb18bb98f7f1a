//! The proxy on a socket that stays while it is stopped, replaced and started again, as systemd
//! keeps it: no client notices.

use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use credpin_mock_imds::MockImds;
use credpin_proxy::longest_end;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::binary::Process;
use crate::rig::{PATIENCE, ROLE};

const RESTARTS: usize = 6;
/// Answers between a start and the next stop.
const ANSWERS: usize = 200;
const CLIENTS: usize = 4;
/// Of one request: SDKs wait seconds, not more.
const DEADLINE: Duration = Duration::from_secs(3);

/// What systemd holds for a service.
struct Manager {
    imds: MockImds,
    dir: TempDir,
    /// On tmpfs, where the key of sessions may lie.
    run: TempDir,
    socket: TcpListener,
    admin: UnixListener,
    notified: UnixDatagram,
}

impl Manager {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let notified = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        notified.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            imds: MockImds::builder().start().await.unwrap(),
            socket: TcpListener::bind("127.0.0.1:0").unwrap(),
            admin: UnixListener::bind(dir.path().join("admin")).unwrap(),
            notified,
            run: tempfile::tempdir_in("/dev/shm").unwrap(),
            dir,
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Starts `binary` on the kept sockets, with `variables`; returns when it says that it is ready.
    fn start(&self, binary: &Path, variables: &[(&str, &str)]) -> Process {
        // A child gets other files than the standard three by unsafe code only, so the sockets come as
        // two of these and a shell puts them where systemd does.
        let mut command = Command::new("sh");
        let script = "exec 3<&0 4<&2 </dev/null 2>&1; LISTEN_PID=$$ exec \"$@\"";
        command.env_clear().args(["-c", script, "sh"]).arg(binary);
        command
            .args(["run", "--upstream", &self.imds.endpoint(), "--ledger"])
            .arg(self.dir.path().join("ledger"))
            .env("LISTEN_FDS", "2")
            .env("LISTEN_FDNAMES", "imds:admin")
            .env("NOTIFY_SOCKET", self.dir.path().join("notify"))
            .env("CREDPIN_PROXY_SESSION_KEY", self.run.path().join("key"))
            .envs(variables.iter().copied())
            .stdin(OwnedFd::from(self.socket.try_clone().unwrap()))
            .stderr(OwnedFd::from(self.admin.try_clone().unwrap()))
            .stdout(Stdio::piped());
        let mut process = Process(command.spawn().unwrap());
        let out = process.0.stdout.take().unwrap();
        // What it says is read to the end, so that it can always say it.
        std::thread::spawn(move || BufReader::new(out).lines().for_each(drop));
        let said = self.hear("READY=1");
        assert!(
            said.contains(&format!("ready on {},", self.address())),
            "it serves on the kept socket: {said}"
        );
        process
    }

    /// Waits until the service says `what`.
    fn hear(&self, what: &str) -> String {
        loop {
            let mut text = [0; 512];
            let length = self.notified.recv(&mut text).unwrap();
            let text = String::from_utf8_lossy(&text[..length]).into_owned();
            if text.lines().any(|line| line == what) {
                return text;
            }
        }
    }

    /// Stops it as systemd does, and waits for it.
    async fn stop(&self, mut process: Process) {
        kill_process(Pid::from_child(&process.0), Signal::TERM).unwrap();
        self.hear("STOPPING=1");
        let ended = spawn_blocking(move || process.0.wait().unwrap());
        assert!(timeout(PATIENCE, ended).await.unwrap().unwrap().success());
    }
}

fn built() -> PathBuf {
    env!("CARGO_BIN_EXE_credpin-proxy").into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_replaced_and_started_under_load_it_fails_no_request() {
    let manager = Manager::new().await;
    let newer = manager.dir.path().join("credpin-proxy-newer");
    std::fs::copy(built(), &newer).unwrap();
    let mut process = manager.start(&built(), &[]);
    let (enough, answered) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let load = Load {
            proxy: manager.address(),
            enough: Arc::clone(&enough),
            answered: Arc::clone(&answered),
        };
        clients.spawn(load.ask_and_ask(number % 2 == 0));
    }
    let mut next = [newer, built()].into_iter().cycle();
    for _ in 0..RESTARTS {
        let now = answered.load(Ordering::Relaxed);
        let more = async {
            while answered.load(Ordering::Relaxed) < now + ANSWERS {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, more).await.expect("it answers");
        manager.stop(process).await;
        process = manager.start(&next.next().unwrap(), &[]);
    }
    enough.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.unwrap().expect("no request fails");
    }
}

/// A client that asks again and again, with one session.
struct Load {
    proxy: SocketAddr,
    enough: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Load {
    async fn ask_and_ask(self, keep_alive: bool) -> io::Result<()> {
        let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 600";
        let mut open = None;
        let token = exchange(&mut open, self.proxy, "PUT /latest/api/token", ttl, false).await?;
        let header = format!("X-aws-ec2-metadata-token: {token}");
        let asked = format!("GET {ROLE}");
        while !self.enough.load(Ordering::Relaxed) {
            let answer = exchange(&mut open, self.proxy, &asked, &header, keep_alive);
            let body = timeout(DEADLINE, answer).await??;
            assert!(body.contains("SecretAccessKey"), "{body}");
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// One request, on the open connection if there is one, and its whole answer, which has to be 200. It
/// stays open unless either end wants otherwise. Nothing is tried twice.
async fn exchange(
    open: &mut Option<TcpStream>,
    proxy: SocketAddr,
    asked: &str,
    header: &str,
    keep_alive: bool,
) -> io::Result<String> {
    let mut stream = match open.take() {
        Some(stream) => stream,
        None => TcpStream::connect(proxy).await?,
    };
    let close = if keep_alive {
        ""
    } else {
        "Connection: close\r\n"
    };
    let head = format!("{asked} HTTP/1.1\r\nHost: 169.254.169.254\r\n{header}\r\n{close}\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut text = String::new();
    let (head, mut body) = loop {
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            break (head.to_ascii_lowercase(), body.to_owned());
        }
    };
    if !head.starts_with("http/1.1 200 ") {
        return Err(io::Error::other(head));
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a length").parse().unwrap();
    let mut rest = vec![0; length - body.len()];
    stream.read_exact(&mut rest).await?;
    body.push_str(&String::from_utf8_lossy(&rest));
    if keep_alive && !head.lines().any(|line| line == "connection: close") {
        *open = Some(stream);
    }
    Ok(body)
}

#[tokio::test]
async fn admin_is_served_on_the_kept_unix_socket() {
    let manager = Manager::new().await;
    let process = manager.start(&built(), &[]);
    let mut admin = UnixStream::connect(manager.dir.path().join("admin"))
        .await
        .unwrap();
    admin
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    admin.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("alive\n"), "{text}");
    manager.stop(process).await;
}

/// An idle connection is closed after `drain`, and one that was never used is still answered.
#[tokio::test]
async fn who_connected_before_the_end_and_asks_after_it_is_answered() {
    let manager = Manager::new().await;
    let drain = [("CREDPIN_PROXY_DRAIN", "1ms")];
    let process = manager.start(&built(), &drain);
    let mut late = TcpStream::connect(manager.address()).await.unwrap();
    // Taken from the queue by the time that a later one is answered.
    let mut idle = TcpStream::connect(manager.address()).await.unwrap();
    idle.write_all(b"HEAD / HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(idle.read_u8().await.unwrap(), b'H');
    kill_process(Pid::from_child(&process.0), Signal::TERM).unwrap();
    let said = manager.hear("STOPPING=1");
    // As long as that may take, no manager kills it.
    let longest = longest_end(Duration::from_millis(1)).as_micros();
    let extended = format!("EXTEND_TIMEOUT_USEC={longest}");
    assert!(said.lines().any(|line| line == extended), "{said}");
    idle.read_to_end(&mut Vec::new()).await.unwrap();
    late.write_all(b"GET / HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    late.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 "), "{text}");
    assert!(
        text.to_ascii_lowercase().contains("connection: close"),
        "{text}"
    );
}

#[tokio::test]
async fn the_watchdog_hears_of_a_proxy_that_works() {
    let manager = Manager::new().await;
    let soon = Duration::from_millis(50).as_micros().to_string();
    let process = manager.start(&built(), &[("WATCHDOG_USEC", &soon)]);
    for _ in 0..3 {
        manager.hear("WATCHDOG=1");
    }
    manager.stop(process).await;
}

/// A store that takes connections and never answers: the last round of shipping waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_hangs_keeps_no_client_waiting_at_a_restart() {
    let manager = Manager::new().await;
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "s3://bucket?sts=off&endpoint=http://{}",
        store.local_addr().unwrap()
    );
    let variables = [("CREDPIN_PROXY_RECORDS", &*url)];
    let process = manager.start(&built(), &variables);
    let (enough, answered) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let load = Load {
        proxy: manager.address(),
        enough: Arc::clone(&enough),
        answered: Arc::clone(&answered),
    };
    let client = tokio::spawn(load.ask_and_ask(false));
    let first = async {
        while answered.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, first).await.expect("it answers");
    manager.stop(process).await;
    let process = manager.start(&built(), &variables);
    enough.store(true, Ordering::Relaxed);
    client.await.unwrap().expect("no request fails or waits");
    manager.stop(process).await;
}
