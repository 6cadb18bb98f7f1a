//! Which requests go on. A pure decision on the head of a request.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use credpin_ledger::ImdsVersion;
use http::header::{
    CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderName, ORIGIN, REFERER, TRANSFER_ENCODING,
    USER_AGENT, VIA,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};

use crate::head::Flaw;
use crate::headers::{TOKEN, TOKEN_TTL, end_to_end, is_end_to_end, values};
use crate::original::IMDS;
use crate::path::CanonicalPath;
use crate::refusal::Refusal;

/// A request that passed the guard, as it goes upstream. Only [`admit`] makes one: what was decided
/// upon is what is sent.
#[derive(Clone, Debug)]
// So no other crate can make one.
#[non_exhaustive]
pub struct Admitted {
    /// `GET` or `HEAD`; `PUT` for a session.
    pub method: Method,
    /// What it asks for.
    pub path: CanonicalPath,
    /// The client's own, end to end, without `Host`.
    pub headers: HeaderMap,
    /// Version 2 with a token, whatever it is worth, and 1 without.
    pub version: ImdsVersion,
}

/// What there is to know about a request besides its head.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The address that it came in on.
    pub local: SocketAddr,
    /// What `User-Agent` has to begin with, one of these; with none of them anything will do.
    pub user_agents: &'a [String],
}

/// The metadata service's own name, an address, as clients write it.
const IMDS_HOST: &str = "169.254.169.254";

/// There is no body; and the others are meant for a server that reads bodies or speaks HTTP/2, and IMDS is
/// neither.
static STAY: [HeaderName; 3] = [
    CONTENT_LENGTH,
    EXPECT,
    HeaderName::from_static("http2-settings"),
];

/// Decides on a request, and takes the headers of one that goes on out of its `head`.
///
/// A request that could be read in two ways is refused in any case: forwarded in one reading, it
/// would be another. About one that breaks a rule of policy `breach` is asked, which refuses it by an
/// error. With none such what it asks for without a session goes on without one.
///
/// A query is dropped: the metadata service has no parameters, so none decides anything, and what
/// is not sent on cannot be read in another way there.
pub fn admit(
    head: &mut Parts,
    circumstances: Circumstances<'_>,
    mut breach: impl FnMut(Refusal) -> Result<(), Refusal>,
) -> Result<Admitted, Refusal> {
    if head.uri.authority().is_some() || head.method == Method::CONNECT {
        return Err(Flaw::Target.into());
    }
    let path = CanonicalPath::parse(head.uri.path())?;
    check_method(&head.method, &path)?;
    let host = only_host(&head.headers, head.version)?;
    check_no_body(&head.headers)?;
    check_forwarded_put(&head.headers, &path)?;
    // What travels: a token that stays behind here is no token there.
    let travels = if is_end_to_end(&head.headers) {
        Cow::Borrowed(&head.headers)
    } else {
        Cow::Owned(end_to_end(head.headers.clone()))
    };
    let token = at_most_one(&travels, &TOKEN)?;
    let version = match token {
        None | Some([]) => ImdsVersion::V1,
        Some(_) => ImdsVersion::V2,
    };
    at_most_one(&travels, &TOKEN_TTL)?;

    // On all headers: one that `Connection` names would hide from the other end, not from us.
    if head.headers.keys().any(names_a_forwarder) {
        breach(Refusal::Forwarded)?;
    }
    if head.headers.keys().any(names_a_browser) {
        breach(Refusal::Browser)?;
    }
    if host.is_some_and(|host| !is_ours(host, circumstances.local)) {
        breach(Refusal::Host)?;
    }
    if !is_welcome(&head.headers, circumstances.user_agents) {
        breach(Refusal::UserAgent)?;
    }
    if path.credential().is_some() && version == ImdsVersion::V1 {
        breach(Refusal::NoToken)?;
    }

    let mut headers = match travels {
        Cow::Owned(headers) => headers,
        Cow::Borrowed(_) => std::mem::take(&mut head.headers),
    };
    headers.remove(HOST);
    // Each look into the map costs more than a look at all that is in it.
    for name in &STAY {
        if headers.keys().any(|key| key == name) {
            headers.remove(name);
        }
    }
    // Whoever prints these headers does not print it.
    for (_, token) in headers.iter_mut().filter(|(name, _)| *name == TOKEN) {
        token.set_sensitive(true);
    }
    Ok(Admitted {
        method: head.method.clone(),
        path,
        headers,
        version,
    })
}

/// `X-Forwarded-For`, as IMDS refuses it, and all of its kin. Servers behind some forwarders spell
/// them with underscores.
fn names_a_forwarder(name: &HeaderName) -> bool {
    let mut spelt = Cow::from(name.as_str());
    if spelt.contains('_') {
        spelt = spelt.replace('_', "-").into();
    }
    let kin = ["x-forwarded", "x-real-ip"].contains(&&*spelt) || spelt.starts_with("x-forwarded-");
    kin || *name == FORWARDED || *name == VIA
}

/// What a browser adds by itself and a page cannot take away: `Sec-` is its own (Fetch Standard,
/// "forbidden request-header").
fn names_a_browser(name: &HeaderName) -> bool {
    let prefixes = ["sec-", "access-control-request-"];
    let own = prefixes.iter().any(|own| name.as_str().starts_with(own));
    own || *name == ORIGIN || *name == REFERER
}

/// IMDS itself makes no session for who was forwarded (Amazon EC2 User Guide, "Use the Instance
/// Metadata Service"), so no setting of ours does.
fn check_forwarded_put(headers: &HeaderMap, path: &CanonicalPath) -> Result<(), Refusal> {
    // Hardly any request has it, and to look at the few names that there are takes less than to read the path.
    let is_forwarded = headers.keys().any(|name| name == "x-forwarded-for");
    if is_forwarded && path.is_token() {
        return Err(Refusal::Forwarded);
    }
    Ok(())
}

fn check_method(method: &Method, path: &CanonicalPath) -> Result<(), Refusal> {
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        Method::PUT if path.is_token() => Ok(()),
        _ => Err(Refusal::Method),
    }
}

/// HTTP/1.0 may leave it out: no browser speaks it, and who writes to a socket can write any `Host`.
fn only_host(headers: &HeaderMap, version: Version) -> Result<Option<&HeaderValue>, Refusal> {
    let mut hosts = values(headers, |name| *name == HOST);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Ok(Some(host)),
        (None, None) if version == Version::HTTP_10 => Ok(None),
        _ => Err(Refusal::NoHost),
    }
}

/// A browser that was told that `evil.example` is at 169.254.169.254 (DNS rebinding) still says
/// `Host: evil.example`. So a name is never right, whatever it resolves to.
fn is_ours(host: &HeaderValue, local: SocketAddr) -> bool {
    // What nearly all clients say.
    if host == IMDS_HOST {
        return true;
    }
    let Some(host) = host.to_str().ok().and_then(literal) else {
        return false;
    };
    let own = SocketAddr::new(local.ip().to_canonical(), local.port());
    host == own || (host.port() == 80 && IMDS.contains(&host.ip()))
}

fn is_welcome(headers: &HeaderMap, user_agents: &[String]) -> bool {
    let mut said = values(headers, |name| *name == USER_AGENT);
    let named = |said: &HeaderValue| {
        let begins = |agent: &String| said.as_bytes().starts_with(agent.as_bytes());
        user_agents.iter().any(begins)
    };
    user_agents.is_empty() || said.next().is_some_and(named) && said.next().is_none()
}

/// `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`.
fn literal(host: &str) -> Option<SocketAddr> {
    let with_port = host.parse().ok();
    let v4 = || Some((host.parse::<Ipv4Addr>().ok()?, 80).into());
    let v6 = || {
        let inner = host.strip_prefix('[')?.strip_suffix(']')?;
        Some((inner.parse::<Ipv6Addr>().ok()?, 80).into())
    };
    let address: SocketAddr = with_port.or_else(v4).or_else(v6)?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn check_no_body(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lengths = values(headers, |name| *name == CONTENT_LENGTH);
    let has_coding = values(headers, |name| *name == TRANSFER_ENCODING)
        .next()
        .is_some();
    if has_coding || lengths.any(|length| length != "0") {
        return Err(Flaw::Body.into());
    }
    Ok(())
}

fn at_most_one<'a>(
    headers: &'a HeaderMap,
    name: &'static HeaderName,
) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = values(headers, |key| key == name);
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(|value| value.as_bytes().trim_ascii())),
        _ => Err(Flaw::Duplicate.into()),
    }
}

#[cfg(test)]
mod tests;
