//! The binary under AEMM's name, as a symbolic link makes it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{ask, body, exchange};

const NAME: &str = "ec2-metadata-mock";
const ACTION: &str = "/latest/meta-data/spot/instance-action";
/// Only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_mins(1);

/// A folder with a link to the binary in it, which is its home, too.
struct Home(TempDir);

/// A running mock, killed if the test fails before it ends.
struct Running {
    child: Child,
    /// What it said until it was ready.
    said: Vec<String>,
    log: BufReader<ChildStderr>,
    addr: SocketAddr,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let binary = env!("CARGO_BIN_EXE_credpin-mock-imds");
        std::os::unix::fs::symlink(binary, folder.path().join(NAME)).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a config file, and returns its path.
    fn config(&self, text: &str) -> String {
        let path = self.path().join("mock.json");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(self.path().join(NAME));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .envs(variables.iter().copied())
            .current_dir(self.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the link on a free loopback port, and waits until it is ready.
    fn start(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut command = self.command(arguments, variables);
        command.args(["-n", "127.0.0.1", "-p", "0"]);
        let mut child = command.spawn().unwrap();
        let mut said = Vec::new();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        for line in stdout.lines() {
            let line = line.unwrap();
            let addr = line.split_once("ready on http://").map(|(_, rest)| {
                let addr = rest.split_whitespace().next().unwrap();
                addr.parse().unwrap()
            });
            said.push(line);
            if let Some(addr) = addr {
                let log = BufReader::new(child.stderr.take().unwrap());
                return Running {
                    child,
                    said,
                    log,
                    addr,
                };
            }
        }
        let output = child.wait_with_output().unwrap();
        panic!("{said:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Running {
    async fn get(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\nHost: imds\nConnection: close");
        ask(self.addr, &request).await
    }

    async fn status(&self, path: &str) -> u16 {
        let answer = self.get(path).await;
        answer["HTTP/1.1 ".len()..][..3].parse().unwrap()
    }

    /// Waits until its log says this.
    fn logs(&mut self, wanted: &str) {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "it ended");
        }
    }

    /// Ends it, and returns the rest of its log.
    fn stop(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_link_by_aemms_name_is_aemm() {
    let home = Home::new();
    let mock = home.start(&[], &[]);
    assert_eq!(
        mock.said,
        [format!(
            "ec2-metadata-mock: ready on http://{} (IMDSv1 and IMDSv2, like \
             amazon-ec2-metadata-mock)",
            mock.addr
        )]
    );
    assert_eq!(body(&mock.get("/").await), "latest\n");
    assert!(body(&mock.get(ACTION).await).contains("\"action\": \"terminate\""));
    let addr = mock.addr;
    // Go keeps connections open.
    let requests = b"GET /latest/meta-data/mac HTTP/1.1\r\nHost: a\r\n\r\n\
        GET /latest/meta-data/ami-id HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = String::from_utf8(exchange(addr, requests).await.unwrap()).unwrap();
    assert!(
        answers.contains("0e:49:61:0f:c3:11HTTP/1.1 200 OK"),
        "{answers}"
    );
    assert!(answers.ends_with("ami-0a887e401f7654935"), "{answers}");
    let log = mock.stop();
    assert!(
        log.contains(&format!(
            "Initiating ec2-metadata-mock for all mocks on port {}\n",
            addr.port()
        )),
        "{log}"
    );

    let other = home.start(&["--fidelity", "imds"], &[]);
    assert!(body(&other.get("/").await).contains("2021-03-23"));
    assert_eq!(other.status(ACTION).await, 404);
}

#[tokio::test]
async fn each_command_has_its_flags() {
    let home = Home::new();
    let at = "2025-05-05T05:05:55Z";
    for spot in [
        ["spot", "-a", "hibernate", "-t", at, "-r", at],
        [
            "spot",
            "--action",
            "hibernate",
            "--time",
            at,
            "--rebalance-rec-time",
            at,
        ],
    ] {
        let mock = home.start(&spot, &[]);
        assert_eq!(
            body(&mock.get(ACTION).await),
            format!("{{\n\t\"action\": \"hibernate\",\n\t\"time\": \"{at}\"\n}}")
        );
        let rebalance = mock.get("/latest/meta-data/events/recommendations/rebalance");
        assert!(body(&rebalance.await).contains(at));
    }
    let scheduled = "/latest/meta-data/events/maintenance/scheduled";
    for events in [
        [
            "events",
            "-o",
            "instance-stop",
            "-t",
            "completed",
            "-b",
            at,
            "-a",
            at,
            "-l",
            at,
        ],
        [
            "se",
            "--code",
            "instance-stop",
            "--state",
            "completed",
            "--not-before",
            at,
            "--not-after",
            at,
            "--not-before-deadline",
            at,
        ],
    ] {
        let mock = home.start(&events, &[]);
        let event = mock.get(scheduled).await;
        for part in ["\"instance-stop\"", "\"completed\""] {
            assert!(body(&event).contains(part), "{event}");
        }
        assert_eq!(event.matches("\"5 May 2025 05:05:55 GMT\"").count(), 3);
        assert_eq!(mock.status(ACTION).await, 404);
    }
    let lifecycle = "/latest/meta-data/autoscaling/target-lifecycle-state";
    let mock = home.start(
        &["asglifecycle", "--asg-termination-delay-sec", "3600"],
        &[],
    );
    assert_eq!(body(&mock.get(lifecycle).await), "InService");
    let mock = home.start(&["asg", "--asg-termination-trigger-time", at], &[]);
    assert_eq!(body(&mock.get(lifecycle).await), "Terminated");
}

#[tokio::test]
async fn flags_that_every_command_has() {
    let home = Home::new();
    let rebalance = "/latest/meta-data/events/recommendations/rebalance";
    for (arguments, path, expected) in [
        (&["-d", "3600"][..], ACTION, 404),
        (&["-d", "3600"], rebalance, 200),
        (&["--rebalance-delay-sec", "3600"], rebalance, 404),
        (
            &["--rebalance-trigger-time", "2999-01-01T00:00:00Z"],
            rebalance,
            404,
        ),
        (
            &["--mock-trigger-time", "2999-01-01T00:00:00Z"],
            ACTION,
            404,
        ),
        (&["spot", "-x=0"], ACTION, 404),
        (&["spot", "--mock-ip-count=-1"], ACTION, 200),
        (&["spot", "-x", "1"], ACTION, 200),
        (&["-I"], ACTION, 401),
        (&["spot", "--imdsv2"], ACTION, 401),
        (&["--imdsv2=false"], ACTION, 200),
    ] {
        let mock = home.start(arguments, &[]);
        assert_eq!(mock.status(path).await, expected, "{arguments:?}");
    }
}

/// A setting of each kind: flag, environment, file, default.
#[tokio::test]
async fn a_flag_goes_before_the_environment_that_before_the_file_and_that_before_the_default() {
    let home = Home::new();
    let file = home.config(
        r#"{"spot": {"action": "stop"}, "imdsv2": true, "mock-ip-count": 0,
            "metadata": {"values": {"mac": "file"}}}"#,
    );
    let file = ["-c", &file];
    let action = |mock: String| ["terminate", "stop", "hibernate"].map(|word| mock.contains(word));

    // A text.
    let everybody = ["spot", "-I=false", "-x=-1"];
    for (arguments, variables, expected) in [
        (vec![], &[][..], "terminate"),
        (file.to_vec(), &[], "stop"),
        (
            file.to_vec(),
            &[("AEMM_SPOT_ACTION", "hibernate")],
            "hibernate",
        ),
        (
            [&file[..], &["-a", "terminate"]].concat(),
            &[("AEMM_SPOT_ACTION", "hibernate")],
            "terminate",
        ),
    ] {
        let mock = home.start(&[&everybody[..], &arguments].concat(), variables);
        let said = mock.get(ACTION).await;
        assert!(said.contains(expected), "{said}");
        assert_eq!(action(said).iter().filter(|is| **is).count(), 1);
    }

    // Yes or no.
    let mac = "/latest/meta-data/mac";
    for (arguments, variables, expected) in [
        (vec![], &[][..], 200),
        (file.to_vec(), &[], 401),
        (file.to_vec(), &[("AEMM_IMDSV2", "false")], 200),
        (
            [&file[..], &["-I"]].concat(),
            &[("AEMM_IMDSV2", "false")],
            401,
        ),
    ] {
        let mock = home.start(&arguments, variables);
        assert_eq!(mock.status(mac).await, expected, "{arguments:?}");
    }

    // A number.
    let open = ["--imdsv2=false"];
    for (arguments, variables, expected) in [
        (vec![], &[][..], 200),
        (file.to_vec(), &[], 404),
        (file.to_vec(), &[("AEMM_MOCK_IP_COUNT", "1")], 200),
        (
            [&file[..], &["-x", "0"]].concat(),
            &[("AEMM_MOCK_IP_COUNT", "1")],
            404,
        ),
    ] {
        let mock = home.start(&[&open[..], &arguments].concat(), variables);
        assert_eq!(mock.status(ACTION).await, expected, "{arguments:?}");
    }

    // What is no flag.
    for (arguments, variables, expected) in [
        (vec![], &[][..], "0e:49:61:0f:c3:11"),
        (file.to_vec(), &[], "file"),
        (
            file.to_vec(),
            &[("AEMM_METADATA_VALUES_MAC", "variable")],
            "variable",
        ),
    ] {
        let mock = home.start(&[&open[..], &arguments].concat(), variables);
        assert_eq!(body(&mock.get(mac).await), expected);
    }
}

#[tokio::test]
async fn the_environment_names_the_config_file_and_a_flag_another() {
    let home = Home::new();
    let file = home.config(r#"{"metadata": {"values": {"mac": "named"}}}"#);
    let default = home.path().join("aemm-config.json");
    std::fs::write(&default, r#"{"metadata": {"values": {"mac": "home"}}}"#).unwrap();
    let default = default.to_str().unwrap();
    let mac = "/latest/meta-data/mac";
    for (arguments, variables, expected) in [
        (&[][..], &[][..], "home"),
        (&[], &[("AEMM_CONFIG_FILE", file.as_str())], "named"),
        (
            &["-c", default],
            &[("AEMM_CONFIG_FILE", file.as_str())],
            "home",
        ),
    ] {
        let mock = home.start(arguments, variables);
        assert_eq!(body(&mock.get(mac).await), expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_watched_file_is_read_again_and_a_wrong_one_is_not_taken() {
    async fn becomes(mock: &Running, wanted: &str) {
        let asked = async { while body(&mock.get("/latest/meta-data/mac").await) != wanted {} };
        tokio::time::timeout(PATIENCE, asked).await.unwrap();
    }
    let home = Home::new();
    let config = |mac: &str, action: &str| {
        format!(
            r#"{{"metadata": {{"values": {{"mac": "{mac}"}}}}, "spot": {{"action": "{action}"}}}}"#
        )
    };
    let file = home.config(&config("first", "stop"));
    let mut mock = home.start(&["-w", "-c", &file], &[]);
    becomes(&mock, "first").await;
    home.config(&config("second", "stop"));
    becomes(&mock, "second").await;

    for wrong in ["{\n\"metadata\": ", r#"{"spot": {"action": "explode"}}"#] {
        home.config(wrong);
        mock.logs("The settings stay as they were.");
        becomes(&mock, "second").await;
    }
    // Moved into place, as editors do it.
    let aside = home.path().join("aside.json");
    std::fs::write(&aside, config("third", "hibernate")).unwrap();
    std::fs::rename(&aside, &file).unwrap();
    becomes(&mock, "third").await;
    assert!(body(&mock.get(ACTION).await).contains("hibernate"));
}

#[test]
fn unknown_keys_are_warned_of_and_the_settings_saved_where_aemm_does() {
    let home = Home::new();
    let file = home.config("{\n\"spot\": {\n\"instance-action\": \"stop\"}}");
    let mock = home.start(&["-s", "-c", &file], &[]);
    let saved = home
        .path()
        .join(".ec2-metadata-mock/.aemm-config-used.json");
    assert_eq!(
        mock.said[0],
        format!(
            "Successfully saved final configuration to local file  {}",
            saved.display()
        )
    );
    assert!(
        std::fs::read_to_string(saved)
            .unwrap()
            .contains("baskinc-role")
    );
    let said = mock.stop();
    assert!(
        said.contains(&format!(
            "ec2-metadata-mock: warning: {file}:3: spot.instance-action: there is no such \
             setting; it is ignored\n"
        )),
        "{said}"
    );
}

#[test]
fn what_is_wrong_keeps_it_from_starting() {
    let home = Home::new();
    let output = home
        .command(&["events", "--code", "FOO"], &[])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "ec2-metadata-mock: --code: Invalid CLI input \"FOO\" for flag code. Allowed value(s): \
         instance-reboot,system-reboot,system-maintenance,instance-retirement,instance-stop.\n"
    );
    let output = home.command(&["-c", "nowhere.json"], &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with(
            "ec2-metadata-mock: cannot read the config file nowhere.json (set by --config-file or AEMM_CONFIG_FILE): "
        ),
        "{said}"
    );
}
