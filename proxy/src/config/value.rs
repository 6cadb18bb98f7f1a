//! The value of one setting, from the text that somebody wrote; or what is wrong with that text.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::AdminAddress;
use credpin_ledger::{StoreError, StoreUrl, StoreUrlError, without_secrets};

pub(super) fn one<'a>(values: &[&'a str]) -> Result<&'a str, String> {
    match values {
        [value] => Ok(value),
        _ => Err("takes one value".to_owned()),
    }
}

pub(super) fn parse<T: FromStr<Err: fmt::Display>>(value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|error: T::Err| told(value, &format!(": {error}")))
}

pub(super) fn unless_off<T>(
    value: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match value {
        "off" => Ok(None),
        value => parse(value).map(Some),
    }
}

pub(super) fn listen(values: &[&str]) -> Result<Vec<SocketAddr>, String> {
    if values.is_empty() {
        return Err("name at least one address, as \"127.0.0.1:9337\"".to_owned());
    }
    values.iter().map(|value| address(value)).collect()
}

pub(super) fn address(value: &str) -> Result<SocketAddr, String> {
    let hint = "write ADDRESS:PORT, as 127.0.0.1:9337 or [::1]:9337";
    value
        .parse()
        .map_err(|_| told(value, &format!(" is no address with a port: {hint}")))
}

pub(super) fn admin(value: &str) -> Result<AdminAddress, String> {
    match value.strip_prefix("unix:") {
        Some(socket) => path(socket).map(AdminAddress::Unix),
        None => address(value).map(AdminAddress::Tcp),
    }
}

pub(super) fn store(value: &str) -> Result<StoreUrl, String> {
    let store: StoreUrl = value
        .parse()
        .map_err(|error: StoreUrlError| error.to_string())?;
    if matches!(store, StoreUrl::S3 { .. }) && !cfg!(feature = "s3") {
        return Err(StoreError::NoS3.to_string());
    }
    Ok(store)
}

pub(super) fn directory(value: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    if path.as_os_str().is_empty() {
        return Err("name a directory".to_owned());
    }
    Ok(path)
}

pub(super) fn path(value: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(told(value, " is no absolute path"))
    }
}

/// As the instance's own response hop limit (Amazon EC2 API Reference,
/// `InstanceMetadataOptionsRequest`).
pub(super) fn hops(value: &str) -> Result<u8, String> {
    let hops = value.parse().ok().filter(|hops| (1..=64).contains(hops));
    hops.ok_or_else(|| told(value, " is no number from 1 to 64"))
}

pub(super) fn texts(values: &[&str]) -> Result<Vec<String>, String> {
    if values.iter().any(|value| value.is_empty()) {
        return Err("has an empty text, which is the beginning of everything".to_owned());
    }
    Ok(values.iter().map(|value| (*value).to_owned()).collect())
}

/// A name that useradd(8) takes, so one that can stand in a ruleset as it is.
pub(super) fn user(value: &str) -> Result<String, String> {
    let letter = |b: u8| b.is_ascii_lowercase() || b == b'_';
    let rest = |b: u8| letter(b) || b.is_ascii_digit() || b == b'-';
    let named = value.bytes().next().is_some_and(letter) && value.bytes().all(rest);
    if named && value.len() <= 32 {
        Ok(value.to_owned())
    } else {
        Err(told(value, " is no user's name"))
    }
}

/// A path below the root of all cgroups that can stand in a ruleset as it is.
pub(super) fn cgroup(value: &str) -> Result<String, String> {
    let byte = |b: u8| b.is_ascii_alphanumeric() || b"-_.@:".contains(&b);
    let name =
        |name: &str| !name.is_empty() && name != "." && name != ".." && name.bytes().all(byte);
    if value.split('/').all(name) {
        Ok(value.to_owned())
    } else {
        let hint = "write it as system.slice/system-credpin.slice";
        Err(told(value, &format!(" is no path of a cgroup: {hint}")))
    }
}

pub(super) fn count(value: &str) -> Result<usize, String> {
    let count = value
        .parse()
        .ok()
        .filter(|count| (1..=1_000_000).contains(count));
    count.ok_or_else(|| told(value, " is no number from 1 to 1000000"))
}

pub(super) fn duration(value: &str) -> Result<Duration, String> {
    up_to(86_400_000, "24h", value)
}

/// How old something may get: a year at most.
pub(super) fn age(value: &str) -> Result<Duration, String> {
    up_to(365 * 86_400_000, "8760h", value)
}

fn up_to(most: u64, said: &str, value: &str) -> Result<Duration, String> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number = digits
        .parse()
        .ok()
        .filter(|number| (1..=most).contains(number));
    let unit = match &value[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let millis = number
        .zip(unit)
        .and_then(|(number, unit): (u64, u64)| number.checked_mul(unit));
    let millis = millis.filter(|millis| *millis <= most);
    let hint = format!("write a number with a unit, as 500ms, 5s, 1m or 1h, up to {said}");
    let millis = millis.ok_or_else(|| told(value, &format!(" is no time: {hint}")))?;
    Ok(Duration::from_millis(millis))
}

/// What is wrong with `value`, which is shown without credentials that may be in it.
fn told(value: &str, what: &str) -> String {
    let shown = without_secrets(value);
    let hint = if shown == value {
        ""
    } else {
        "; credentials do not belong in it"
    };
    format!("{shown:?}{what}{hint}")
}
