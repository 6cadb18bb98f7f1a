//! The binary, as a script starts and stops it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::get;

const BINARY: &str = env!("CARGO_BIN_EXE_credpin-mock-imds");

/// A running binary, killed if the test fails before it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it on a free port and waits for its ready line.
fn start(arguments: &[&str]) -> (Running, String) {
    let mut child = Command::new(BINARY)
        .args(["--port", "0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    (Running(child), line)
}

fn addr(ready: &str) -> std::net::SocketAddr {
    let (_, rest) = ready.split_once("http://").unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn it_is_ready_when_it_says_so() {
    let (_running, line) = start(&[]);
    assert!(
        line.starts_with("credpin-mock-imds: ready on http://127.0.0.1:"),
        "{line}"
    );
    assert!(
        get(addr(&line), "/latest/meta-data/instance-id")
            .await
            .ends_with("i-0123456789abcdef0")
    );

    let (_running, line) = start(&["--imdsv2", "-n", "localhost"]);
    assert!(line.contains("IMDSv2 only"), "{line}");
    assert!(get(addr(&line), "/").await.starts_with("HTTP/1.1 401"));
}

#[cfg(unix)]
#[test]
fn signals_end_it_cleanly() {
    for signal in ["INT", "TERM"] {
        let (mut running, _) = start(&[]);
        let pid = running.0.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -s {signal} {pid}")])
            .status()
            .unwrap();
        assert!(sent.success());
        assert_eq!(running.0.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(BINARY).args(["-p", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with(&format!(
            "credpin-mock-imds: cannot listen on 127.0.0.1 port {port} "
        )),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn it_tells_its_version() {
    let output = Command::new(BINARY).arg("--version").output().unwrap();
    let expected = concat!("credpin-mock-imds ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

/// Runs it where it cannot start, and returns what it says.
fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new(BINARY)
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mock.json");
    std::fs::write(&file, "{\n  \"server\": {\n    \"hostname\": []}}").unwrap();
    let file = file.to_str().unwrap();
    let said = refused(&["-c", file, "-p", "http"], &[("AEMM_IMDSV2", "perhaps")]);
    assert_eq!(
        said,
        format!(
            "credpin-mock-imds: {file}:3: server.hostname: [] is not a text\n\
             --port: `http` is no port from 0 to 65535\n\
             AEMM_IMDSV2: \"perhaps\" is not true or false\n"
        )
    );
    assert!(
        refused(&[], &[("AEMM_CONFIG_FILE", "none.json")]).starts_with(
            "credpin-mock-imds: cannot read the config file none.json (set by --config-file or AEMM_CONFIG_FILE): "
        )
    );
}

/// Starts it and reads as many lines of its ready message.
fn start_with(lines: usize, arguments: &[&str]) -> (Running, Vec<String>) {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.as_mut().unwrap());
    let said = stdout.lines().take(lines).map(Result::unwrap).collect();
    (Running(child), said)
}

/// What the admin API shows. It keeps connections where nobody says that it should not.
async fn asked(admin: std::net::SocketAddr, path: &str) -> String {
    super::ask(
        admin,
        &format!("GET {path} HTTP/1.1\nHost: admin\nConnection: close"),
    )
    .await
}

#[test]
fn the_example_that_it_prints_describes_a_host() {
    let output = Command::new(BINARY).arg("example").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let described = credpin_mock_imds::describe::parse(Path::new("example"), &text).unwrap();
    assert_eq!(
        described,
        [credpin_mock_imds::describe::Described::default()]
    );

    let output = Command::new(BINARY).arg("certificate").output().unwrap();
    assert_eq!(
        output.stdout,
        credpin_mock_imds::IDENTITY_CERTIFICATE.as_bytes()
    );
}

#[tokio::test]
async fn a_fleet_has_a_ready_line_each_and_one_admin_api() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fleet.toml");
    let text = "region = 'eu-west-1'\nimds.listen = '127.0.0.1:0'\n[[host]]\ninstance-id = 'i-1'\n\
                [[host]]\ninstance-id = 'i-2'\nimds.tokens = 'required'\n";
    std::fs::write(&file, text).unwrap();
    let arguments = ["--host", file.to_str().unwrap(), "--admin", "0"];
    let (_running, lines) = start_with(3, &arguments);
    let expect = |line: usize, parts: &[&str]| {
        for part in parts {
            assert!(lines[line].contains(part), "{part}: {}", lines[line]);
        }
    };
    expect(
        0,
        &["ready on http://127.0.0.1:", "(IMDSv1 and IMDSv2, i-1)"],
    );
    expect(1, &["ready on http://127.0.0.1:", "(IMDSv2 only, i-2)"]);
    expect(2, &["credpin-mock-imds: admin API on http://127.0.0.1:"]);
    let [one, two, admin] = [0, 1, 2].map(|line| addr(&lines[line]));
    let region = "/latest/meta-data/placement/region";
    assert!(get(one, region).await.ends_with("eu-west-1"));
    assert!(get(two, region).await.starts_with("HTTP/1.1 401"));
    let hosts = asked(admin, "/hosts").await;
    assert!(hosts.contains(&format!("http://{two}")), "{hosts}");
    let log = asked(admin, "/hosts/i-2/requests").await;
    assert!(
        log.contains(region) && log.contains("\"status\": 401"),
        "{log}"
    );
}

#[tokio::test]
async fn what_flags_say_of_a_service_holds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("host.json");
    let text = r#"{"instance-id": "i-1", "imds": {"tokens": "required", "listen": "192.0.2.1:80",
        "faults": ["/1.0:503", "/latest/meta-data/mac:404"], "rotate-every": "1m"}}"#;
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let own = [
        "--host",
        file,
        "--imdsv2=false",
        "--port",
        "0",
        "--credential-lifetime",
        "1h",
        "--fault",
        "/1.0:429",
        "--fault",
        "/latest/meta-data/mac:500:count=1",
        "--seed",
        "7",
        "--admin",
        "0",
    ];
    let (_running, lines) = start_with(2, &own);
    let at = addr(&lines[0]);
    assert!(
        lines[0].contains("IMDSv1 and IMDSv2"),
        "the flag goes before the file: {lines:?}"
    );
    let id = get(at, "/latest/meta-data/instance-id").await;
    assert!(id.ends_with("i-1"), "{id}");
    assert!(get(at, "/1.0/").await.starts_with("HTTP/1.1 429"));
    let mac = "/latest/meta-data/mac";
    assert!(get(at, mac).await.starts_with("HTTP/1.1 500"));
    assert!(get(at, mac).await.starts_with("HTTP/1.1 200"));
    let schedule = asked(addr(&lines[1]), "/schedule").await;
    for part in [r#""credential-lifetime": "1h""#, r#""rotate-every": "1m""#] {
        assert!(schedule.contains(part), "{schedule}");
    }

    let (_again, lines) = start_with(1, &own);
    let first = get(at, super::CREDENTIALS).await;
    let same = get(addr(&lines[0]), super::CREDENTIALS).await;
    let key = |answer: &str| {
        answer
            .lines()
            .find(|line| line.contains("AccessKeyId"))
            .map(str::to_owned)
    };
    assert!(key(&first).is_some());
    assert_eq!(key(&first), key(&same), "the same seed");
}

#[cfg(unix)]
#[test]
fn the_admin_socket_is_gone_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let at = format!("unix:{}", socket.display());
    let (mut running, lines) = start_with(2, &["-p", "0", "--admin", &at]);
    assert_eq!(lines[1], format!("credpin-mock-imds: admin API on {at}"));
    assert!(socket.exists());
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn what_is_wrong_with_hosts_and_faults_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("host.toml");
    std::fs::write(&file, "region = 'x'\nregoin = 'y'\n").unwrap();
    let file = file.to_str().unwrap();
    let said = refused(
        &[
            "--host",
            file,
            "--hop-limit",
            "65",
            "--rotate-every",
            "7h",
            "--seed",
            "x",
            "--admin",
            "x",
            "--fault",
            "/:hangs",
            "--fault",
            "nowhere:503",
        ],
        &[("AEMM_CREDENTIAL_LIFETIME", "soon")],
    );
    for part in [
        &format!("--host: {file}:2: regoin: unknown field `regoin`, expected one of `account`, "),
        "--hop-limit: `65` is no hop limit: it is a number from 1 to 64\n",
        "AEMM_CREDENTIAL_LIFETIME: `soon` is no time such as 6h, 10m or 1s\n",
        "--rotate-every: a rotation every 7h is too seldom where credentials live 6h: ",
        "--seed: `x` is no whole number from 0 on\n",
        "--admin: `x` is no address: write 127.0.0.1:1339, 1339 or unix:/run/mock-imds.sock\n",
        "--fault: `hangs` is no fault; there are: ",
        "--fault: the path `nowhere` does not begin with /\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let aemm = refused(&["--host", file, "--fidelity", "aemm"], &[]);
    assert!(
        aemm.contains("--host: a description is served with --fidelity imds only"),
        "{aemm}"
    );
}
