//! Headers that are a connection's own, and headers that travel.

use http::header::{
    CONNECTION, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

// Not constants: each use of one makes it anew, which costs more than to compare it.

/// The session token of IMDSv2.
pub static TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
/// How long a session shall last, in seconds.
pub static TOKEN_TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");

static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// All values of the header that `is` tells, by going through the few headers that there are: that takes less
/// than a look into the map.
pub(crate) fn values(
    headers: &HeaderMap,
    is: impl Fn(&HeaderName) -> bool,
) -> impl Iterator<Item = &HeaderValue> {
    let named = headers.iter().filter(move |(name, _)| is(name));
    named.map(|(_, value)| value)
}

/// Whether all of `headers` is meant for the other end. Most requests and answers are so.
pub fn is_end_to_end(headers: &HeaderMap) -> bool {
    // `Connection`, which names others, is one of them.
    !headers.keys().any(|name| HOP_BY_HOP.contains(name))
}

/// What of `headers` is meant for the other end: without those of the connection (RFC 9110, 7.6.1),
/// which are a fixed few and any that `Connection` names.
pub fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    if is_end_to_end(&headers) {
        return headers;
    }
    let named: Vec<_> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|options| options.as_bytes().split(|byte| *byte == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_stays_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-One ,x-two"),
            ("connection", "x-aws-ec2-metadata-token"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("x-aws-ec2-metadata-token", "secret"),
        ] {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let kept = end_to_end(headers);
        let names: Vec<_> = kept.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-three"]);
    }
}
