//! The binary: what people and scripts see.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use credpin_mock_imds::MockImds;
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::rig::{ROLE, talk};

pub(crate) fn credpin_proxy(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_credpin-proxy"));
    command.env_clear().args(args);
    // What /run is here is not a test's to say.
    command.env("CREDPIN_PROXY_SESSION_KEY", "off");
    command
}

pub(crate) async fn output(args: &[&str]) -> Output {
    let mut command = credpin_proxy(args);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A proxy as a process of its own, ended with the test.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it on a free port; returns its ready line too.
pub(crate) async fn run(imds: &MockImds, dir: &Path) -> (Process, String) {
    run_as(credpin_proxy(&[]), imds, dir).await
}

/// The same, where `command` is the binary without arguments, or something that becomes it.
pub(crate) async fn run_as(mut command: Command, imds: &MockImds, dir: &Path) -> (Process, String) {
    let (upstream, ledger) = (imds.endpoint(), dir.join("ledger"));
    command.args([
        "run",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &upstream,
        "--ledger",
    ]);
    command
        .arg(ledger)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        (Process(child), ready)
    })
    .await
    .unwrap()
}

pub(crate) fn address(ready: &str) -> String {
    let (_, rest) = ready.split_once(" ready on ").unwrap();
    rest.split_once(',').unwrap().0.to_owned()
}

pub(crate) async fn credential(address: &str) -> u16 {
    let to = address.parse().unwrap();
    let put = format!(
        "PUT /latest/api/token HTTP/1.1\r\nHost: {address}\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\nConnection: close\r\n\r\n"
    );
    let token = talk(to, put.as_bytes()).await.text();
    let get = format!(
        "GET {ROLE} HTTP/1.1\r\nHost: {address}\r\nX-aws-ec2-metadata-token: {token}\r\nConnection: close\r\n\r\n"
    );
    talk(to, get.as_bytes()).await.status
}

#[tokio::test]
async fn it_runs_lists_what_it_gave_out_and_ends_on_sigterm() {
    let (imds, dir) = (
        MockImds::builder().start().await.unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let (mut process, ready) = run(&imds, dir.path()).await;
    assert!(ready.ends_with(&format!(
        ", upstream {}, ledger {}\n",
        imds.endpoint(),
        dir.path().join("ledger").display()
    )));
    assert_eq!(credential(&address(&ready)).await, 200);
    let ledger = dir.path().join("ledger");
    let ledger = ledger.to_str().unwrap();

    // While it runs, and of the open segment too.
    let key = imds.handle().issued().remove(0).access_key_id;
    let table = stdout(&output(&["ledger", "--ledger", ledger]).await);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("TIME "), "{table}");
    assert!(
        lines[1].contains(&key)
            && lines[1].contains("example-role")
            && lines[1].contains(&format!(" 127.0.0.1 uid={} ", getuid().as_raw()))
            && lines[1].ends_with("new credential"),
        "{table}"
    );
    let json = stdout(&output(&["ledger", "--json", "--ledger", ledger]).await);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["access_key_id"], key);

    // A second one on the same ledger is told so, in one line.
    let second = output(&[
        "run",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &imds.endpoint(),
        "--ledger",
        ledger,
    ])
    .await;
    assert_eq!(second.status.code(), Some(1));
    assert!(
        stderr(&second).contains("is in use by another process"),
        "{}",
        stderr(&second)
    );

    let check = output(&["check", "--upstream", &imds.endpoint(), "--ledger", ledger]).await;
    assert!(
        stdout(&check).contains("in use by a running proxy"),
        "{}",
        stdout(&check)
    );

    let pid = Pid::from_child(&process.0);
    kill_process(pid, Signal::TERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || (process.0.wait().unwrap(), process))
        .await
        .unwrap();
    assert_eq!(ended.0.code(), Some(0));
}

#[tokio::test]
async fn ports_in_use_are_one_sentence_each_and_told_at_once() {
    let (imds, admin) = (crate::rig::listener().await, crate::rig::listener().await);
    let address = |taken: &TcpListener| taken.local_addr().unwrap().to_string();
    let (imds, admin) = (&address(&imds), &address(&admin));
    let told = |address, key| {
        format!(
            "cannot listen on {address} (`{key}`): another process has this port; stop it or name another\n"
        )
    };
    let (imds_told, admin_told) = (told(imds, "listen"), told(admin, "admin"));
    for (listen, admin, expected) in [
        (imds.as_str(), "off", imds_told.clone()),
        ("127.0.0.1:0", admin.as_str(), admin_told.clone()),
        (imds, admin, imds_told + &admin_told),
    ] {
        let ports = ["run", "--listen", listen, "--admin", admin];
        let rest = [
            "--ledger",
            "/nonexistent/ledger",
            "--upstream",
            "http://127.0.0.1:9",
        ];
        let output = output(&[&ports[..], &rest].concat()).await;
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stderr(&output), format!("credpin-proxy: {expected}"));
    }
}

#[tokio::test]
async fn mistakes_in_the_config_are_told_all_at_once() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("proxy.toml");
    std::fs::write(&file, "listen = 80\nledgr = \"/x\"\n").unwrap();
    let file = file.to_str().unwrap();
    let output_ = output(&["run", "--config", file, "--admin", "here"]).await;
    assert_eq!(output_.status.code(), Some(1));
    let text = stderr(&output_);
    for part in [
        &format!("{file}:1:1: listen: "),
        &format!("{file}:2:1: ledgr: "),
        "--admin: ",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let absent = output(&["run", "--config", "/nonexistent/proxy.toml"]).await;
    assert_eq!(absent.status.code(), Some(1));
    assert!(stderr(&absent).contains("cannot read the config file /nonexistent/proxy.toml"));
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong() {
    let (imds, dir) = (
        MockImds::builder().start().await.unwrap(),
        TempDir::new().unwrap(),
    );
    let ledger = dir.path().join("ledger");
    let records = format!("file://{}", dir.path().join("records").display());
    let good = [
        "check",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &imds.endpoint(),
        "--ledger",
        ledger.to_str().unwrap(),
        "--records",
        &records,
    ];
    let good = output(&good).await;
    let text = stdout(&good);
    assert_eq!(good.status.code(), Some(0), "{text}");
    // What is left is as it may be on a machine that runs tests.
    let host = ["sessions", "identity", "landlock", "hardening", "redirect"];
    let mut lines = text.lines();
    let as_it_should_be =
        |line: &str| line.starts_with("ok ") || host.iter().any(|name| line[5..].starts_with(name));
    assert!(lines.all(as_it_should_be), "{text}");
    assert_eq!(text.matches(" config ").count(), 1, "{text}");
    assert!(text.contains("this host's own processes only"), "{text}");
    let made = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(made, 0, "looking makes nothing");
    let hardening = "-    hardening not checked: no proxy runs on this ledger";
    assert!(text.contains(hardening), "{text}");
    assert!(
        text.contains("i-0123456789abcdef0 in us-east-1, account 123456789012"),
        "{text}"
    );

    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let bad_args = [
        "check",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "http://127.0.0.1:9",
        "--ledger",
        file.to_str().unwrap(),
    ];
    let bad = output(&bad_args).await;
    let text = stdout(&bad);
    assert_eq!(bad.status.code(), Some(1));
    let failed: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("FAIL "))
        .collect();
    assert_eq!(failed.len(), 2, "upstream and ledger: {text}");
    assert!(text.contains("see that `upstream` is right"), "{text}");
    let clock = "-    clock     not checked: upstream fails\n";
    assert!(text.contains(clock), "{text}");

    let json = output(&[&bad_args[..], &["--json"]].concat()).await;
    assert_eq!(json.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    let ledger = json
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "ledger");
    assert_eq!(ledger.unwrap()["verdict"], "bad");
    assert_eq!(json.as_array().unwrap().len(), text.lines().count());
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_told() {
    let (imds, dir) = (
        MockImds::builder().start().await.unwrap(),
        TempDir::new().unwrap(),
    );
    let ledger = dir.path().join("ledger");
    let ledger = ledger.to_str().unwrap();
    let upstream = imds.endpoint();
    let rest = [
        "--listen",
        "0.0.0.0:0",
        "--admin",
        "[::]:0",
        "--upstream",
        &upstream,
        "--ledger",
        ledger,
    ];
    let check = output(&[&["check"], &rest[..]].concat()).await;
    assert_eq!(check.status.code(), Some(0));
    for told in [
        "0.0.0.0:0 can be reached from other machines",
        "[::]:0 (`admin`) can be reached from other machines",
    ] {
        assert!(stdout(&check).contains(told), "{}", stdout(&check));
    }

    let mut command = credpin_proxy(&[&["run"], &rest[..]].concat());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let line = line_with("can be reached from other machines", command).await;
    assert!(line.contains("WARN"), "{line}");
    assert!(!line.contains('\x1b'), "no colours into a file: {line}");
    let mut command = credpin_proxy(&[&["run"], &rest[..]].concat());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    line_with("(`admin`) can be reached", command).await;
}

#[tokio::test]
async fn too_few_open_files_are_told() {
    let (imds, dir) = (
        MockImds::builder().start().await.unwrap(),
        TempDir::new().unwrap(),
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 500 && exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_credpin-proxy"))
        .args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            &imds.endpoint(),
        ])
        .arg("--ledger")
        .arg(dir.path().join("ledger"));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let told = "may open 500 files, and max-connections = 1024 takes 2112";
    let line = line_with(told, command).await;
    assert!(line.contains("WARN"), "{line}");
}

#[tokio::test]
async fn a_metadata_service_that_is_not_there_is_told_at_the_start() {
    let dir = TempDir::new().unwrap();
    let dead = {
        let gone = crate::rig::listener().await;
        format!("http://{}", gone.local_addr().unwrap())
    };
    let mut command = credpin_proxy(&["run", "--listen", "127.0.0.1:0", "--upstream", &dead]);
    command.arg("--ledger").arg(dir.path().join("ledger"));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let told = format!("the metadata service at {dead} cannot be reached");
    let line = line_with(&told, command).await;
    assert!(line.contains("WARN"), "{line}");
    assert!(!line.contains('\x1b'), "no colours into a file: {line}");
}

#[tokio::test]
async fn lines_that_are_no_record_are_told_beside_the_list() {
    let dir = TempDir::new().unwrap();
    let segment = "0c6f1f2e-5a0a-4b52-9f0e-1d2c3b4a5968-00000000000000000001.jsonl";
    let file = dir.path().join(segment);
    std::fs::write(&file, "garbage\n").unwrap();
    let ledger = dir.path().to_str().unwrap();
    let listed = output(&["ledger", "--json", "--ledger", ledger]).await;
    assert_eq!((listed.status.code(), &*stdout(&listed)), (Some(0), "[]\n"));
    let told = format!(
        "credpin-proxy: left out: {}:1: not a record: ",
        file.display()
    );
    assert!(stderr(&listed).starts_with(&told), "{}", stderr(&listed));
}

#[tokio::test]
async fn bad_usage_has_an_exit_code_of_its_own() {
    let same = ["run", "--listen", "127.0.0.1:1", "--admin", "127.0.0.1:1"];
    for usage in [
        &["walk"][..],
        &["run", "--nothing"],
        &["run", "--admin", "here"],
        &["run", "--upstream", "http://localhost"],
        &same,
    ] {
        let output = output(usage).await;
        assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
        assert!(!stderr(&output).contains("config:"), "{}", stderr(&output));
    }
    for asked in ["--help", "--version"] {
        assert_eq!(output(&[asked]).await.status.code(), Some(0));
    }
}

/// The first line that it writes to its log; then it is ended.
/// The first line of its log that has `what`.
async fn line_with(what: &str, mut command: Command) -> String {
    let what = what.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut process = Process(command.spawn().unwrap());
        let log = BufReader::new(process.0.stderr.take().unwrap());
        let mut lines = log.lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains(&what));
        line.unwrap_or_else(|| panic!("it never says {what}"))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn completions_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let output = output(&["completions", shell]).await;
        assert!(output.status.success() && stdout(&output).contains("credpin-proxy"));
    }
}

/// With an nft that lists `tables` and keeps what it is to load.
#[tokio::test]
async fn with_wrong_settings_the_redirect_still_refuses() {
    let dir = TempDir::new().unwrap();
    let (nft, loaded) = (dir.path().join("nft"), dir.path().join("loaded"));
    let settings = dir.path().join("proxy.toml");
    std::fs::write(
        &settings,
        "proxy-user = \"nobody\"\non-proxy-down = \"bypass\"\nlisten = \"1\"\nledgr = \"/x\"\n",
    )
    .unwrap();
    let settings = settings.to_str().unwrap();
    let own = "table inet credpin";
    // What is there, how it is called, and what it loads.
    for (there, words, part) in [
        (
            "",
            &[][..],
            Some("skuid != \"nobody\" ip daddr 169.254.169.254"),
        ),
        (own, &[], None),
        (
            own,
            &["--proxy-down"],
            Some("everybody reaches the metadata service"),
        ),
        ("", &["--proxy-down"], None),
        (own, &["--if-down"], None),
    ] {
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = list ]; then echo '{there}'; else exec /bin/cat > {}; fi\n",
            loaded.display()
        );
        std::fs::write(&nft, script).unwrap();
        std::fs::set_permissions(&nft, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let mut command = credpin_proxy(&["redirect", "install", "--config", settings]);
        command.args(words).env("PATH", dir.path());
        let done = tokio::task::spawn_blocking(move || command.output().unwrap());
        let done = done.await.unwrap();
        let told = stderr(&done);
        assert_eq!(done.status.code(), Some(1), "{told}");
        assert!(
            told.contains("3:1: listen: ") && told.contains("4:1: ledgr: "),
            "{told}"
        );
        let rules = std::fs::read_to_string(&loaded).ok();
        match (part, rules) {
            (None, rules) => assert_eq!(rules, None, "{there} {words:?}"),
            (Some(part), Some(rules)) => {
                assert!(
                    rules.contains(part) && !rules.contains("chain own"),
                    "{rules}"
                );
                std::fs::remove_file(&loaded).unwrap();
            }
            (Some(_), None) => panic!("nothing is loaded: {told}"),
        }
    }
}
