//! The binary, as a script starts and stops it.

use std::io::{BufRead, BufReader};
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
