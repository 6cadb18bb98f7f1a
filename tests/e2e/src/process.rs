//! The one place that starts a process, so that no client under test can see this machine's own
//! credentials, its configuration, a real metadata service or a real AWS endpoint.
//!
//! A [`Launch`] begins with an empty environment. Whatever it is not told otherwise, an AWS client in it
//! finds no credentials, a metadata service that is switched off, and an endpoint where nothing listens.
//! Addresses it is told must be loopback.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::credentials::Credentials;
use crate::namespace::Family;

/// How long a program may run that is waited for. Generous: it only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_mins(2);

/// A loopback address at which nothing listens: where clients go that were not told where to go.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A program about to start.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    name: PathBuf,
    home: TempDir,
    stdin: Vec<u8>,
    patience: Duration,
}

impl Launch {
    /// Only [`Tools`](crate::tools::Tools) names programs; `path` is put before the inherited `PATH`.
    pub(crate) fn new(program: &Path, path: &Path) -> Result<Self> {
        let home = tempfile::tempdir().context("cannot make a home for a process")?;
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let search = std::iter::once(path.to_path_buf()).chain(std::env::split_paths(&inherited));
        let search = std::env::join_paths(search).context("PATH cannot be passed on")?;

        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", search)
            .env("HOME", home.path())
            .env("LANG", "C.UTF-8")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_PAGER", "")
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_ENDPOINT_URL", NOWHERE)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", NOWHERE)
            .current_dir(home.path())
            .kill_on_drop(true);
        Ok(Self {
            command,
            name: program.to_path_buf(),
            home,
            stdin: Vec::new(),
            patience: PATIENCE,
        })
    }

    /// How long it may run, where that is no short program.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of the program's own. What AWS clients read has methods of its own here.
    ///
    /// # Panics
    /// On a variable that would undo the scrubbing.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        let own = !key.starts_with("AWS_") && !key.to_uppercase().ends_with("_PROXY");
        assert!(own, "{key} is not a test's to set: use Launch's methods");
        self.command.env(key, value);
        self
    }

    /// Switches the metadata service on, at a loopback endpoint such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn imds(mut self, endpoint: &str) -> Self {
        must_be_loopback(endpoint);
        self.command
            .env_remove("AWS_EC2_METADATA_DISABLED")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint);
        self
    }

    /// How often botocore asks the metadata service before it gives up; once if not said.
    #[must_use]
    pub fn imds_attempts(mut self, attempts: u8) -> Self {
        let variable = "AWS_METADATA_SERVICE_NUM_ATTEMPTS";
        self.command.env(variable, attempts.to_string());
        self
    }

    /// Sends every AWS API call to a loopback endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: &str) -> Self {
        must_be_loopback(endpoint);
        self.command.env("AWS_ENDPOINT_URL", endpoint);
        self
    }

    /// Sends the calls of one service (`IAM`) to a loopback endpoint.
    #[must_use]
    pub fn service_endpoint(mut self, service: &str, endpoint: &str) -> Self {
        must_be_loopback(endpoint);
        let variable = format!("AWS_ENDPOINT_URL_{service}");
        self.command.env(variable, endpoint);
        self
    }

    /// The region that clients take for theirs (eu-west-1 if not said).
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.command
            .env("AWS_REGION", region)
            .env("AWS_DEFAULT_REGION", region);
        self
    }

    /// Credentials of the environment, which every client's default chain tries first.
    #[must_use]
    pub fn credentials(mut self, credentials: &Credentials) -> Self {
        self.command
            .env("AWS_ACCESS_KEY_ID", &credentials.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key);
        if let Some(token) = &credentials.token {
            self.command.env("AWS_SESSION_TOKEN", token);
        }
        self
    }

    /// The loopback address that `client.py` connects from: a position in the gate's world.
    #[must_use]
    pub fn source(mut self, source: Ipv4Addr) -> Self {
        assert!(source.is_loopback(), "{source} is not loopback");
        self.command.env("CREDPIN_E2E_SOURCE", source.to_string());
        self
    }

    /// Has the program started by another one that becomes it, such as nsenter.
    #[must_use]
    pub(crate) fn by<A: AsRef<OsStr>>(
        mut self,
        starter: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut command = Command::new(starter);
        let inner = self.command.as_std();
        command
            .args(args)
            .arg(inner.get_program())
            .args(inner.get_args());
        // No variable is inherited, here as there.
        let set = inner
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?)));
        command.env_clear().envs(set);
        command.current_dir(self.home.path()).kill_on_drop(true);
        self.command = command;
        self
    }

    /// Runs it as another user of this machine, who may pass every folder: those that lead to what is
    /// tested may be shut to others. Takes root's rights.
    #[must_use]
    pub fn as_user(self, user: &str) -> Self {
        let user = ["--reuid", user, "--regid", "65534", "--clear-groups"];
        let right = [
            "--inh-caps=+dac_read_search",
            "--ambient-caps=+dac_read_search",
            "--",
        ];
        self.by("setpriv", user.into_iter().chain(right))
    }

    /// The same, with what the proxy needs to see others' processes (`identity.conf`).
    #[must_use]
    pub fn as_user_who_sees_processes(self, user: &str) -> Self {
        let user = ["--reuid", user, "--regid", "65534", "--clear-groups"];
        let rights = [
            "--inh-caps=+dac_read_search,+sys_ptrace",
            "--ambient-caps=+dac_read_search,+sys_ptrace",
            "--",
        ];
        self.by("setpriv", user.into_iter().chain(rights))
    }

    /// Runs it in a network and a user namespace that it makes itself, as everybody may who is let.
    #[must_use]
    pub fn in_own_user_namespace(self) -> Self {
        self.by("unshare", ["--user", "--map-root-user", "--net", "--"])
    }

    /// Runs it as a process of the cgroup that has this folder. Takes root's rights.
    #[must_use]
    pub fn in_cgroup(self, folder: &Path) -> Self {
        let enter = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
        self.by(
            "sh",
            [OsStr::new("-c"), OsStr::new(enter), folder.as_os_str()],
        )
    }

    /// Switches the metadata service on at its usual address. Only
    /// [`Namespace`](crate::namespace::Namespace) may: there the address is not the real one's.
    #[must_use]
    pub(crate) fn imds_at_its_usual_address(mut self, family: Family) -> Self {
        self.command
            .env_remove("AWS_EC2_METADATA_DISABLED")
            .env_remove("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        if family == Family::V6 {
            let mode = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
            self.command.env(mode, "IPv6");
        }
        self
    }

    /// What [`Launch::finish`] feeds the program before it closes stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs the program to its end, and hands back what it printed, whatever its exit status.
    pub async fn finish(mut self) -> Result<Finished> {
        let name = self.name;
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", name.display()))?;
        let mut stdin = child.stdin.take().context("stdin was not piped")?;
        let input = std::mem::take(&mut self.stdin);
        let feed = async move {
            // A program that does not read its stdin may close it at once.
            stdin.write_all(&input).await.ok();
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = tokio::time::timeout(self.patience, both)
            .await
            .with_context(|| format!("{} did not end within {:?}", name.display(), self.patience))?
            .with_context(|| format!("cannot read what {} printed", name.display()))?;
        Ok(Finished {
            name,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts the program and leaves it running, until the handle is dropped.
    pub fn spawn(mut self) -> Result<Running> {
        let errors = self.home.path().join("stderr");
        let file = std::fs::File::create(&errors)
            .with_context(|| format!("cannot write {}", errors.display()))?;
        let child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name.display()))?;
        Ok(Running {
            child,
            name: self.name,
            errors,
            _home: self.home,
        })
    }
}

/// A program that ran to its end.
#[derive(Clone, Debug)]
pub struct Finished {
    name: PathBuf,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Finished {
    /// What it printed, if it ended well; its complaint otherwise.
    pub fn success(self) -> Result<String> {
        ensure!(
            self.status.success(),
            "{} ended with {}:\n{}",
            self.name.display(),
            self.status,
            self.stderr
        );
        Ok(self.stdout)
    }
}

/// A program that runs. Dropped, it is killed, by its own process id.
///
/// One that is to die with its test even when the test itself is killed reads its stdin, which ends then.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: PathBuf,
    errors: PathBuf,
    _home: TempDir,
}

impl Running {
    /// Its process id, for as long as it runs.
    pub fn id(&self) -> Result<u32> {
        let id = self.child.id();
        id.with_context(|| format!("{} has ended; {}", self.name.display(), self.complaint()))
    }

    /// Its stdin and stdout, once.
    pub fn pipes(&mut self) -> Result<(ChildStdin, ChildStdout)> {
        match (self.child.stdin.take(), self.child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok((stdin, stdout)),
            _ => bail!("the pipes of {} were taken before", self.name.display()),
        }
    }

    /// Waits until it says that it is ready, as this workspace's servers do, and hands back the line.
    pub async fn ready(&mut self) -> Result<String> {
        let (_, stdout) = self.pipes()?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        ensure!(line.contains("ready on"), "{}", self.complaint());
        Ok(line)
    }

    /// What it has complained of so far, to be quoted in an error.
    pub fn complaint(&self) -> String {
        let said = std::fs::read(&self.errors).unwrap_or_default();
        format!(
            "{} said on stderr:\n{}",
            self.name.display(),
            String::from_utf8_lossy(&said)
        )
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        if let Some(id) = self.child.id() {
            let id = i32::try_from(id)
                .ok()
                .and_then(rustix::process::Pid::from_raw)
                .context("a process id that is none")?;
            rustix::process::kill_process(id, rustix::process::Signal::TERM)
                .with_context(|| format!("cannot signal {}", self.name.display()))?;
        }
        self.wait().await
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("cannot kill {}", self.name.display()))
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .with_context(|| format!("{} did not end within {PATIENCE:?}", self.name.display()))?
            .with_context(|| format!("cannot wait for {}", self.name.display()))
    }
}

/// The last guard against a test that reaches beyond this machine.
fn must_be_loopback(endpoint: &str) {
    let parsed = url::Url::parse(endpoint).unwrap_or_else(|e| panic!("endpoint {endpoint}: {e}"));
    let loopback = match parsed.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(_)) | None => false,
    };
    assert!(loopback, "endpoint {endpoint} is not a loopback address");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::io::AsyncReadExt;

    use super::*;

    fn launch(program: &str) -> Launch {
        Launch::new(Path::new(program), Path::new("/nonexistent")).unwrap()
    }

    #[tokio::test]
    async fn a_process_inherits_the_search_path_and_nothing_else() {
        let printed = launch("env").finish().await.unwrap().success().unwrap();
        let got: BTreeSet<_> = printed
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let keys: BTreeSet<_> = got.iter().map(|(key, _)| *key).collect();
        let expected = BTreeSet::from([
            "AWS_CONFIG_FILE",
            "AWS_DEFAULT_REGION",
            "AWS_EC2_METADATA_DISABLED",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            "AWS_ENDPOINT_URL",
            "AWS_PAGER",
            "AWS_REGION",
            "AWS_SHARED_CREDENTIALS_FILE",
            "HOME",
            "LANG",
            "PATH",
            "PYTHONDONTWRITEBYTECODE",
        ]);
        assert_eq!(keys, expected);
        assert!(got.contains(&("AWS_ENDPOINT_URL", NOWHERE)));
        assert!(got.contains(&("AWS_EC2_METADATA_SERVICE_ENDPOINT", NOWHERE)));
    }

    #[test]
    #[should_panic(expected = "not a loopback address")]
    fn the_metadata_service_is_never_the_real_one() {
        let _ = launch("env").imds("http://169.254.169.254");
    }

    #[test]
    #[should_panic(expected = "not a loopback address")]
    fn an_endpoint_is_never_a_name() {
        let _ = launch("env").endpoint("http://localhost.example:80");
    }

    #[test]
    #[should_panic(expected = "not a test's to set")]
    fn the_scrubbing_cannot_be_undone() {
        let _ = launch("env").env("AWS_ENDPOINT_URL_S3", "https://s3.amazonaws.com");
    }

    #[tokio::test]
    async fn dropping_the_handle_ends_the_process() {
        let mut running = launch("cat").spawn().unwrap();
        let (_stdin, mut stdout) = running.pipes().unwrap();
        drop(running);
        // Ends only when cat does: its stdin is still open.
        let mut rest = Vec::new();
        let end = stdout.read_to_end(&mut rest);
        tokio::time::timeout(PATIENCE, end).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_failure_quotes_the_complaint() {
        let failed = launch("sh").args(["-c", "echo no >&2; exit 3"]);
        let error = failed.finish().await.unwrap().success().unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("no"),
            "{error}"
        );
    }
}
