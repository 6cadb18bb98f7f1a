//! Which requests go on. A pure decision on the head of a request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::{CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderName, TRANSFER_ENCODING, VIA};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

use crate::headers::{TOKEN, TOKEN_TTL, end_to_end};
use crate::path::CanonicalPath;
use crate::refusal::Refusal;

/// A request that passed the guard, as it goes upstream. Only [`admit`] makes one: what was decided
/// upon is what is sent.
#[derive(Clone, Debug)]
pub struct Admitted {
    pub(crate) method: Method,
    pub(crate) path: CanonicalPath,
    /// The client's own, end to end, without `Host`.
    pub(crate) headers: HeaderMap,
}

/// Where IMDS is (Amazon EC2 User Guide, "Instance metadata and user data").
const IMDS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Meant for a server that reads bodies or speaks HTTP/2, and IMDS is neither.
const NOT_FOR_IMDS: [HeaderName; 2] = [EXPECT, HeaderName::from_static("http2-settings")];

/// Decides on a request that came in on the address `local`.
///
/// A query is dropped: the metadata service has no parameters, so none decides anything, and what
/// is not sent on cannot be read in another way there.
pub fn admit(head: &Parts, local: SocketAddr) -> Result<Admitted, Refusal> {
    if head.uri.authority().is_some() || head.method == Method::CONNECT {
        return Err(Refusal::Target);
    }
    let path = CanonicalPath::parse(head.uri.path())?;
    check_method(&head.method, &path)?;
    // On all headers: one that `Connection` names would hide from the other end, not from us.
    if head.headers.keys().any(names_a_forwarder) {
        return Err(Refusal::Forwarded);
    }
    check_host(&head.headers, head.version, local)?;
    check_no_body(&head.headers)?;
    // And from here on what travels: a token that stays behind here is no token there.
    let mut headers = end_to_end(&head.headers);
    headers.remove(HOST);
    headers.remove(CONTENT_LENGTH);
    for name in NOT_FOR_IMDS {
        headers.remove(name);
    }
    // Whoever prints these headers does not print it.
    if let Some(token) = headers.get_mut(TOKEN) {
        token.set_sensitive(true);
    }
    let token = at_most_one(&headers, &TOKEN)?;
    at_most_one(&headers, &TOKEN_TTL)?;
    if path.credential().is_some() && token.is_none_or(<[u8]>::is_empty) {
        return Err(Refusal::NoToken);
    }
    Ok(Admitted {
        method: head.method.clone(),
        path,
        headers,
    })
}

/// `X-Forwarded-For`, as IMDS refuses it, and all of its kin. Servers behind some forwarders spell
/// them with underscores.
fn names_a_forwarder(name: &HeaderName) -> bool {
    let spelt = name.as_str().replace('_', "-");
    let kin = ["x-forwarded", "x-real-ip"].contains(&&*spelt) || spelt.starts_with("x-forwarded-");
    kin || [FORWARDED, VIA].contains(name)
}

fn check_method(method: &Method, path: &CanonicalPath) -> Result<(), Refusal> {
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        Method::PUT if path.is_token() => Ok(()),
        _ => Err(Refusal::Method),
    }
}

/// A browser that was told that `evil.example` is at 169.254.169.254 (DNS rebinding) still says
/// `Host: evil.example`. So a name is never right, whatever it resolves to.
///
/// HTTP/1.0 may leave it out: no browser speaks it, and who writes to a socket can write any `Host`.
fn check_host(headers: &HeaderMap, version: Version, local: SocketAddr) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (None, None) if version == Version::HTTP_10 => return Ok(()),
        _ => return Err(Refusal::NoHost),
    };
    let host = host.to_str().ok().and_then(literal).ok_or(Refusal::Host)?;
    let own = SocketAddr::new(local.ip().to_canonical(), local.port());
    if host == own || (host.port() == 80 && IMDS.contains(&host.ip())) {
        Ok(())
    } else {
        Err(Refusal::Host)
    }
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
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if headers.contains_key(TRANSFER_ENCODING) || lengths.any(|length| length != "0") {
        return Err(Refusal::Body);
    }
    Ok(())
}

fn at_most_one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(|value| value.as_bytes().trim_ascii())),
        _ => Err(Refusal::Duplicate),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const ROLE: &str = "/latest/meta-data/iam/security-credentials/web";

    fn try_on(
        local: &str,
        method: &str,
        target: &str,
        version: Version,
        headers: &[(&str, &str)],
    ) -> Result<Admitted, Refusal> {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        admit(&head, local.parse().unwrap())
    }

    fn try_it(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Admitted, Refusal> {
        let host = [("host", "169.254.169.254")];
        let headers = [&host, headers].concat();
        try_on("127.0.0.1:9337", method, target, Version::HTTP_11, &headers)
    }

    #[test]
    fn a_credential_needs_one_token() {
        let token = ("x-aws-ec2-metadata-token", "t");
        assert!(try_it("GET", ROLE, &[token]).is_ok());
        assert!(try_it("HEAD", ROLE, &[token]).is_ok());
        let secret = ("x-aws-ec2-metadata-token", "unseen");
        assert!(!format!("{:?}", try_it("GET", ROLE, &[secret])).contains("unseen"));
        for headers in [
            &[][..],
            &[("x-aws-ec2-metadata-token", "")],
            &[("x-aws-ec2-metadata-token", " ")],
        ] {
            assert_eq!(try_it("GET", ROLE, headers).unwrap_err(), Refusal::NoToken);
            assert_eq!(try_it("HEAD", ROLE, headers).unwrap_err(), Refusal::NoToken);
        }
        assert_eq!(
            try_it("GET", ROLE, &[token, token]).unwrap_err(),
            Refusal::Duplicate
        );
        let hidden = ("connection", "keep-alive, X-Aws-Ec2-Metadata-Token");
        assert_eq!(
            try_it("GET", ROLE, &[token, hidden]).unwrap_err(),
            Refusal::NoToken
        );
        assert!(try_it("GET", "/latest/meta-data/", &[]).is_ok());
        assert_eq!(
            try_it("GET", "/latest/meta-data/", &[token, token]).unwrap_err(),
            Refusal::Duplicate
        );
    }

    #[test]
    fn what_was_forwarded_is_refused() {
        for name in [
            "x-forwarded-for",
            "forwarded",
            "via",
            "x-forwarded-host",
            "X-Forwarded-Proto",
            "x-forwarded",
            "x_forwarded_for",
            "x-forwarded_for",
            "X-Real-IP",
            "x_real_ip",
        ] {
            for value in ["10.0.0.1", ""] {
                let header = (name, value);
                assert_eq!(
                    try_it("GET", "/", &[header]).unwrap_err(),
                    Refusal::Forwarded
                );
                let hidden = ("connection", name);
                assert_eq!(
                    try_it("GET", "/", &[header, hidden]).unwrap_err(),
                    Refusal::Forwarded
                );
            }
        }
    }

    #[test]
    fn methods_are_three_and_put_is_for_tokens() {
        assert!(try_it("PUT", "/latest/api/token", &[("content-length", "0")]).is_ok());
        assert!(
            try_it("GET", "/latest/api/token", &[]).is_ok(),
            "IMDS answers 405 itself"
        );
        for (method, path) in [
            ("PUT", "/latest/meta-data/"),
            ("PUT", ROLE),
            ("POST", "/latest/api/token"),
            ("DELETE", "/"),
            ("OPTIONS", "/"),
            ("TRACE", "/"),
            ("get", "/"),
        ] {
            assert_eq!(
                try_it(method, path, &[]).unwrap_err(),
                Refusal::Method,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn host_is_an_address_of_ours() {
        let host = |local: &str, hosts: &[&str]| {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            try_on(local, "GET", "/", Version::HTTP_11, &headers).map(|_| ())
        };
        for (local, name) in [
            ("127.0.0.1:9337", "169.254.169.254"),
            ("127.0.0.1:9337", "169.254.169.254:80"),
            ("127.0.0.1:9337", "[fd00:ec2::254]"),
            ("127.0.0.1:9337", "[fd00:ec2::254]:80"),
            ("127.0.0.1:9337", "[FD00:0EC2::254]"),
            ("127.0.0.1:9337", "127.0.0.1:9337"),
            ("[::ffff:10.0.0.9]:9337", "10.0.0.9:9337"),
            ("[::1]:9337", "[::1]:9337"),
            ("10.0.0.9:80", "10.0.0.9"),
        ] {
            assert_eq!(host(local, &[name]), Ok(()), "{name}");
        }
        for name in [
            "evil.example",
            "169.254.169.254.evil.example",
            "localhost:9337",
            "instance-data",
            "169.254.169.254:9337",
            "169.254.169.254:",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.0.0.2:9337",
            "2852039166",
            "0xa9fea9fe",
            "169.254.43518",
            "[::ffff:a9fe:a9fe]x",
            "user@169.254.169.254",
            "fd00:ec2::254",
            " ",
            "",
        ] {
            assert_eq!(
                host("127.0.0.1:9337", &[name]),
                Err(Refusal::Host),
                "{name}"
            );
        }
        assert_eq!(host("127.0.0.1:9337", &[]), Err(Refusal::NoHost));
        let two = ["169.254.169.254", "169.254.169.254"];
        assert_eq!(host("127.0.0.1:9337", &two), Err(Refusal::NoHost));
    }

    #[test]
    fn http_1_0_may_come_without_a_host() {
        let ask = |headers: &[(&str, &str)]| {
            try_on("127.0.0.1:9337", "GET", "/", Version::HTTP_10, headers).map(|_| ())
        };
        assert_eq!(ask(&[]), Ok(()));
        assert_eq!(ask(&[("host", "evil.example")]), Err(Refusal::Host));
    }

    #[test]
    fn targets_and_bodies_are_imds_own() {
        let absolute = "http://169.254.169.254/latest/meta-data/";
        assert_eq!(try_it("GET", absolute, &[]).unwrap_err(), Refusal::Target);
        assert_eq!(
            try_it("CONNECT", "169.254.169.254:80", &[]).unwrap_err(),
            Refusal::Target
        );
        for header in [("content-length", "5"), ("transfer-encoding", "chunked")] {
            assert_eq!(try_it("GET", "/", &[header]).unwrap_err(), Refusal::Body);
        }
    }

    #[test]
    fn what_goes_on_is_the_clients_own() {
        let admitted = try_it(
            "GET",
            "//latest/meta-data/mac?x=security-credentials",
            &[
                ("accept", "*/*"),
                ("connection", "close"),
                ("te", "x"),
                ("content-length", "0"),
                ("expect", "100-continue"),
                ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
            ],
        )
        .unwrap();
        assert_eq!(admitted.path.as_str(), "/latest/meta-data/mac");
        let names: Vec<_> = admitted.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["accept"]);
    }
}
