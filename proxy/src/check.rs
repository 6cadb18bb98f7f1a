//! `credpin-proxy check`: is everything there that the proxy needs?

use std::error::Error;
use std::fmt::{self, Write};
use std::io;
use std::path::Path;

use credpin_ledger::{Directory, Disk, OpenError};
use http::header::{DATE, HeaderMap};
use http::{HeaderValue, Method, StatusCode};
use jiff::fmt::rfc2822;

use crate::clock::Clock;
use crate::config::Config;
use crate::describe::Describer;
use crate::exposure::Exposed;
use crate::headers::TOKEN_TTL;
use crate::path::CanonicalPath;
use crate::shipping;
use crate::upstream::Upstream;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How it is; or what is wrong, and what to do.
    pub result: Result<String, String>,
}

/// Signatures of AWS requests are good for five minutes either way; a clock that is further off
/// makes every call fail (AWS General Reference, "Signature Version 4").
const MAX_SKEW_SECONDS: i64 = 300;

/// Looks at all that a proxy with `config` needs. Sends two requests to the metadata service and
/// writes a file of no bytes into the ledger's directory, which it takes away again.
pub async fn check(config: &Config, clock: &Clock) -> Vec<Finding> {
    let upstream = Upstream::new(
        config.upstream.clone(),
        config.connect_timeout,
        config.response_timeout,
    );
    let (imds, date) = match session(&upstream).await {
        Ok(headers) => (who(&upstream, clock).await, Some(headers)),
        Err(error) => (Err(error), None),
    };
    let finding = |name, result| Finding { name, result };
    vec![
        // A config that is wrong is told before there is anything to look at.
        finding("config", Ok("every setting is well-formed".to_owned())),
        finding("listen", Ok(listen(config))),
        finding("upstream", imds),
        finding("ledger", ledger(&config.ledger)),
        finding("store", store(config).await),
        finding("clock", skew(date.as_ref(), clock)),
    ]
}

/// One line each.
pub fn report(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { name, result } in findings {
        let (mark, words) = match result {
            Ok(words) => ("ok", words),
            Err(words) => ("FAIL", words),
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{mark:<5}{name:<9} {words}");
    }
    text
}

async fn session(upstream: &Upstream) -> Result<HeaderMap, String> {
    let path = CanonicalPath::parse("/latest/api/token").map_err(told)?;
    let ttl = (TOKEN_TTL, HeaderValue::from_static("1"));
    let answered = upstream.ask(Method::PUT, &path, ttl).await.map_err(told)?;
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

async fn who(upstream: &Upstream, clock: &Clock) -> Result<String, String> {
    let host = Describer::new(upstream.clone()).host(clock.now()).await;
    if host.instance_id.is_empty() {
        return Err(format!(
            "{} does not say which instance this is",
            upstream.url()
        ));
    }
    let (instance, region, account) = (host.instance_id, host.region, host.account);
    Ok(format!(
        "{}: {instance} in {region}, account {account}",
        upstream.url()
    ))
}

/// A wider address is no mistake, but somebody has to have meant it.
fn listen(config: &Config) -> String {
    match &Exposed::among(&config.listen)[..] {
        [] => "this host's own processes only".to_owned(),
        exposed => {
            let exposed: Vec<_> = exposed.iter().map(ToString::to_string).collect();
            format!("mind: {}", exposed.join("; "))
        }
    }
}

fn ledger(dir: &Path) -> Result<String, String> {
    const PROBE: &str = "check";
    let writable = |directory: &Directory| -> io::Result<()> {
        directory.create(PROBE)?.sync()?;
        directory.remove(PROBE)
    };
    match Directory::open(dir) {
        Ok(directory) => match writable(&directory) {
            Ok(()) => Ok(format!("{} can be written", dir.display())),
            Err(error) => Err(format!("{} cannot be written: {error}", dir.display())),
        },
        Err(OpenError::Locked { .. }) => {
            Ok(format!("{} is in use by a running proxy", dir.display()))
        }
        Err(error) => Err(told(error)),
    }
}

async fn store(config: &Config) -> Result<String, String> {
    let Some(url) = &config.records else {
        return Ok("none: records stay on this host".to_owned());
    };
    let store = shipping::open(url).await.map_err(told)?;
    store.reach().await.map_err(told)?;
    Ok(format!("{url} can be reached"))
}

fn skew(headers: Option<&HeaderMap>, clock: &Clock) -> Result<String, String> {
    let date = headers
        .and_then(|headers| headers.get(DATE))
        .and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| rfc2822::parse(date).ok());
    let Some(date) = date else {
        return Err("the metadata service does not tell the time to compare with".to_owned());
    };
    let skew = clock.now().duration_since(date.timestamp()).as_secs();
    if skew.abs() > MAX_SKEW_SECONDS {
        return Err(format!(
            "{skew} seconds off the metadata service's: set it, AWS refuses what is signed with it"
        ));
    }
    Ok(format!("{skew} seconds off the metadata service's"))
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
