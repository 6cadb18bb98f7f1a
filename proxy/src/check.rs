//! `credpin-proxy check`: is everything there that the proxy needs? It changes nothing.

use std::error::Error;
use std::fmt::{self, Write};
use std::io::ErrorKind;
use std::path::Path;

use credpin_ledger::{Access, Found, Host, RecordStore, StoreUrl, look, writable};
use http::header::{DATE, HeaderMap};
use http::{HeaderValue, Method, StatusCode};
use jiff::fmt::rfc2822;
use serde::Serialize;

use crate::clock::Clock;
use crate::config::{AdminAddress, Config};
use crate::describe::Describer;
use crate::exposure::Exposed;
use crate::headers::TOKEN_TTL;
use crate::metrics::Metrics;
use crate::path::CanonicalPath;
use crate::sockets::Listeners;
use crate::upstream::Upstream;

mod process;
mod running;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// The same in words; where something is wrong, what to do too.
    pub words: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It may be as it should be: somebody has to have meant it.
    Mind,
    /// Nobody can tell before something else is mended.
    NotChecked,
    /// The proxy cannot do its work like this.
    Bad,
}

/// Signatures of AWS requests are good for five minutes either way; a clock that is further off
/// makes every call fail (AWS General Reference, "Signature Version 4").
const MAX_SKEW_SECONDS: i64 = 300;

/// What was seen, not yet named.
type Seen = (Verdict, String);

/// Looks at all that a proxy with `config` needs, and leaves it as it is. Asks the metadata service
/// who this host is, and has the proxy's ports for a moment where they are free.
pub async fn check(config: &Config, clock: &Clock) -> Vec<Finding> {
    let upstream = Upstream::new(config, Metrics::new());
    let mut region = String::new();
    let (imds, time) = match session(&upstream).await {
        Ok(headers) => {
            let host = Describer::new(upstream.clone()).host(clock.now()).await;
            region.clone_from(&host.region);
            (who(&upstream, host), skew(&headers, clock))
        }
        Err(error) => (
            (Verdict::Bad, error),
            (
                Verdict::NotChecked,
                "not checked: upstream fails".to_owned(),
            ),
        ),
    };
    let found = look(&config.ledger).map_err(told);
    let hardening = running::hardening(&config.ledger, found.clone().ok().flatten());
    let finding = |name, (verdict, words)| Finding {
        name,
        verdict,
        words,
    };
    vec![
        // A config that is wrong is told before there is anything to look at.
        finding(
            "config",
            (Verdict::Good, "every setting is well-formed".to_owned()),
        ),
        finding("listen", listen(config)),
        finding("ports", ports(config, found.clone().ok().flatten()).await),
        finding("upstream", imds),
        finding("ledger", ledger(&config.ledger, found)),
        finding("store", store(config.records.as_ref(), region).await),
        finding("clock", time),
        finding("sessions", process::sessions(config.session_key.as_deref())),
        finding("identity", process::identity()),
        finding("landlock", process::confined(config)),
        finding("hardening", hardening),
        finding("redirect", process::redirect(config)),
    ]
}

/// One line each.
pub fn report(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding {
        name,
        verdict,
        words,
    } in findings
    {
        let mark = match verdict {
            Verdict::Good => "ok",
            Verdict::Mind => "mind",
            Verdict::NotChecked => "-",
            Verdict::Bad => "FAIL",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{mark:<5}{name:<9} {words}");
    }
    text
}

async fn session(upstream: &Upstream) -> Result<HeaderMap, String> {
    let path = CanonicalPath::parse("/latest/api/token").map_err(told)?;
    let ttl = (TOKEN_TTL.clone(), HeaderValue::from_static("1"));
    let answered = upstream.ask(Method::PUT, &path, ttl).await;
    let answered = answered.map_err(|error| {
        format!(
            "{}; see that `upstream` is right, that this host has a way there, and that the redirect \
             lets this user through",
            told(error)
        )
    })?;
    match answered.status {
        StatusCode::OK => Ok(answered.headers),
        StatusCode::FORBIDDEN => Err(format!(
            "{} refuses (403): turn the instance metadata service on for this instance",
            upstream.url()
        )),
        status => Err(format!(
            "{} answers {status}: is this the metadata service?",
            upstream.url()
        )),
    }
}

fn who(upstream: &Upstream, host: Host) -> Seen {
    if host.instance_id.is_empty() {
        let words = format!(
            "{} does not say which instance this is: is this the metadata service?",
            upstream.url()
        );
        return (Verdict::Bad, words);
    }
    let (instance, region, account) = (host.instance_id, host.region, host.account);
    let words = format!(
        "{}: {instance} in {region}, account {account}",
        upstream.url()
    );
    (Verdict::Good, words)
}

/// A wider address is no mistake, but somebody has to have meant it.
fn listen(config: &Config) -> Seen {
    let admin = match &config.admin {
        Some(AdminAddress::Tcp(address)) => Some(*address),
        Some(AdminAddress::Unix(_)) | None => None,
    };
    match &Exposed::among(&config.listen, admin)[..] {
        [] => (Verdict::Good, "this host's own processes only".to_owned()),
        exposed => {
            let exposed: Vec<_> = exposed.iter().map(ToString::to_string).collect();
            (Verdict::Mind, exposed.join("; "))
        }
    }
}

/// Whose a port is nobody tells but root; that the ledger is in use tells that a proxy runs.
async fn ports(config: &Config, found: Option<Found>) -> Seen {
    let Err(errors) = Listeners::bind(config).await else {
        return (Verdict::Good, "free".to_owned());
    };
    match found.map(|found| found.in_use) {
        Some(Some(true)) if errors.in_use() => (
            Verdict::Good,
            "in use, as the ledger is: a proxy runs".to_owned(),
        ),
        Some(None) if errors.in_use() => (
            Verdict::Mind,
            "in use, by a running proxy or another process: this user cannot tell, root can"
                .to_owned(),
        ),
        _ => (Verdict::Bad, errors.to_string().replace('\n', "; ")),
    }
}

fn ledger(dir: &Path, found: Result<Option<Found>, String>) -> Seen {
    let dir = dir.display();
    match found {
        Err(error) => (Verdict::Bad, error),
        Ok(None) => (Verdict::Good, absent(dir)),
        Ok(Some(Found { owner, us, .. })) if owner != us && owner != 0 => (
            Verdict::Mind,
            format!(
                "{dir} belongs to user {owner}, and this is user {us}: `run` is for user {owner}, \
                 and so is `check`"
            ),
        ),
        Ok(Some(found)) if found.in_use == Some(true) => {
            (Verdict::Good, format!("{dir} is in use by a running proxy"))
        }
        Ok(Some(_)) => (Verdict::Good, format!("{dir} can be written")),
    }
}

async fn store(url: Option<&StoreUrl>, region: String) -> Seen {
    match url {
        None => (Verdict::Good, "none: records stay on this host".to_owned()),
        Some(StoreUrl::Directory(dir)) => match writable(dir) {
            Ok(()) => (Verdict::Good, format!("{} can be written", dir.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                (Verdict::Good, absent(dir.display()))
            }
            Err(error) => (
                Verdict::Bad,
                format!(
                    "{} cannot be written: {error}; give it to the user that `run` has, or name \
                     another directory (`records`)",
                    dir.display()
                ),
            ),
        },
        Some(url) => match reach(url, region).await {
            Ok(()) => (
                Verdict::Good,
                format!("{url} is there; whether this host may write to it shows when it ships"),
            ),
            Err(error) => (Verdict::Bad, error),
        },
    }
}

/// Asks as nobody: this host's credentials are used by who puts them on record first.
async fn reach(url: &StoreUrl, region: String) -> Result<(), String> {
    let store = RecordStore::open(url, &Access::Nobody { region }).map_err(told)?;
    store.reach().await.map_err(told)
}

fn absent(dir: impl fmt::Display) -> String {
    format!("{dir} does not exist yet; `run` makes it")
}

fn skew(headers: &HeaderMap, clock: &Clock) -> Seen {
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| rfc2822::parse(date).ok()) else {
        let words = "the metadata service does not tell the time: see that this host's is right";
        return (Verdict::Mind, words.to_owned());
    };
    let skew = clock.now().duration_since(date.timestamp()).as_secs();
    let words = format!("{skew} seconds off the metadata service's");
    if skew.abs() > MAX_SKEW_SECONDS {
        let hint = "set it, AWS refuses what is signed with it";
        return (Verdict::Bad, format!("{words}: {hint}"));
    }
    (Verdict::Good, words)
}

/// An error with all that caused it, in one line.
fn told(error: impl Error) -> String {
    Chain(&error).to_string()
}

struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
