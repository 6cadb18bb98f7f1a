//! The one form of a path that everything is decided on, and that is sent on.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use percent_encoding::percent_decode_str;

/// A path of the metadata service in its canonical form: absolute, decoded, without doubled slashes
/// or dots, and made only of characters that need no encoding. Reading it again gives itself.
///
/// What the guard decides on is this text, and what goes upstream is this text: there is no second
/// reading of it that could see something else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalPath {
    text: String,
    /// Where in it [`CanonicalPath::credential`] is, which every request is asked more than once.
    credential: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    name: Range<usize>,
    identity: bool,
}

/// A path that has no canonical form. No client of IMDS sends one; who does is trying to be read in
/// two ways. Dots are refused and not resolved for that reason, and since no metadata path has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path is not absolute")]
    Relative,
    /// It is longer than any that the metadata service has.
    #[error("the path is longer than {MAX_LEN} bytes")]
    Long,
    /// A `%` without two hexadecimal digits, or one that is still there after decoding.
    #[error("the path is not percent-encoded once")]
    Encoding,
    /// A character that no metadata path is made of: a control, a backslash, what is not ASCII.
    #[error("the path has a character that no metadata path has")]
    Character,
    /// A segment `.` or `..`.
    #[error("the path has a dot segment")]
    Dots,
}

/// Roughly ten times the longest path there is (a tag's: 128 characters).
const MAX_LEN: usize = 2048;

impl CanonicalPath {
    /// The canonical form of the path `raw` of a request, its query already taken off.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        if raw.len() > MAX_LEN {
            return Err(PathError::Long);
        }
        let decoded = decode(raw)?;
        if !decoded.starts_with('/') {
            return Err(PathError::Relative);
        }
        let path = if is_plain(&decoded) {
            decoded.into_owned()
        } else {
            rebuilt(&decoded)?
        };
        let credential = Place::of_credential(&path);
        Ok(Self {
            text: path,
            credential,
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What a credential of this path is of, if it is a path that gives out credentials: whatever
    /// the version and the place, a segment `security-credentials` with another after it. (The
    /// listing, without another, gives out the role's name only.)
    ///
    /// Letters are compared without case. IMDS minds it today; if it ever does not, nothing opens.
    pub fn credential(&self) -> Option<CredentialName<'_>> {
        let place = self.credential.as_ref()?;
        Some(CredentialName {
            name: &self.text[place.name.clone()],
            identity: place.identity,
        })
    }

    /// Whether this is `…/api/token`, where sessions are made.
    pub fn is_token(&self) -> bool {
        let mut rest = self.segments().skip(1);
        let mut is = |name: &str| rest.next().is_some_and(|s| s.eq_ignore_ascii_case(name));
        is("api") && is("token") && rest.next().is_none()
    }

    /// What is between its slashes, but for the empty text after the last.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').filter(|segment| !segment.is_empty())
    }
}

impl Place {
    fn of_credential(path: &str) -> Option<Self> {
        // A canonical path has one slash before each segment.
        let mut end = 0;
        let segments = path.as_bytes().split(|byte| *byte == b'/');
        let mut segments = segments.skip(1).map(|segment| {
            let start = end + 1;
            end = start + segment.len();
            (segment, start..end)
        });
        let mut identity = false;
        loop {
            let (segment, _) = segments.next()?;
            identity |= segment.eq_ignore_ascii_case(b"identity-credentials");
            if segment.eq_ignore_ascii_case(b"security-credentials") {
                let (name, place) = segments.next()?;
                return (!name.is_empty()).then_some(Self {
                    name: place,
                    identity,
                });
            }
        }
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the credential of a path is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialName<'a> {
    name: &'a str,
    identity: bool,
}

/// The role's name; for the identity credentials that AWS's own agents use, which belong to no role
/// of the account, `identity-credentials/NAME`, which can be no role's name.
impl fmt::Display for CredentialName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.identity {
            "identity-credentials/"
        } else {
            ""
        };
        write!(f, "{prefix}{}", self.name)
    }
}

/// `raw` percent-decoded once. What has to be encoded in a path is in no metadata path, so after
/// that only what never needs it may be left.
fn decode(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let decoded = if raw.contains('%') {
        let digits = |escape: &str| {
            let digits = escape.as_bytes().get(..2);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        if !raw.split('%').skip(1).all(digits) {
            return Err(PathError::Encoding);
        }
        let decoded = percent_decode_str(raw).decode_utf8();
        decoded.map_err(|_| PathError::Character)?
    } else {
        Cow::Borrowed(raw)
    };
    match decoded.bytes().find(|byte| !is_allowed(*byte)) {
        None => Ok(decoded),
        Some(b'%') => Err(PathError::Encoding),
        Some(_) => Err(PathError::Character),
    }
}

/// Whether a path that begins with a slash has no doubled one and no segment that begins with a dot, as
/// nearly all have: it is canonical then.
fn is_plain(path: &str) -> bool {
    let mut pairs = path.as_bytes().windows(2);
    !pairs.any(|pair| pair == b"//" || pair == b"/.")
}

/// The path with one slash before each segment.
fn rebuilt(path: &str) -> Result<String, PathError> {
    let mut text = String::with_capacity(path.len());
    for segment in path.split('/').filter(|s| !s.is_empty()) {
        if segment == "." || segment == ".." {
            return Err(PathError::Dots);
        }
        text.push('/');
        text.push_str(segment);
    }
    if path.ends_with('/') {
        text.push('/');
    }
    Ok(text)
}

/// The characters of versions, MAC addresses, role names (`\w+=,.@-`) and of the tags that the
/// metadata service can show (`+-=.,_:@`; Amazon EC2 User Guide, "View tags using IMDS").
fn is_allowed(byte: u8) -> bool {
    ALLOWED[usize::from(byte)]
}

const ALLOWED: [bool; 256] = {
    let mut allowed = [false; 256];
    // ASCII: all others are false.
    let mut byte = 0_u8;
    while byte < 128 {
        allowed[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"/-._~+=,:@";
    let mut at = 0;
    while at < others.len() {
        allowed[others[at] as usize] = true;
        at += 1;
    }
    allowed
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(raw: &str) -> Result<String, PathError> {
        CanonicalPath::parse(raw).map(|path| path.text)
    }

    fn credential(raw: &str) -> Option<String> {
        let path = CanonicalPath::parse(raw).unwrap();
        path.credential().map(|name| name.to_string())
    }

    proptest! {
        #[test]
        fn what_is_plain_is_canonical(path in "/[a.]{0,3}(/{1,2}[a.]{0,3}){0,3}") {
            if is_plain(&path) {
                prop_assert_eq!(rebuilt(&path), Ok(path));
            }
        }
    }

    proptest! {
        #[test]
        fn it_never_panics_and_is_a_fixed_point(
            raw in prop_oneof![".*", "/.*", "(/|//|%2[fF]|\\.|%2e|%25|[a-z]|%[0-9a-f]{2}|%){0,20}"],
        ) {
            if let Ok(path) = CanonicalPath::parse(&raw) {
                prop_assert_eq!(CanonicalPath::parse(path.as_str()), Ok(path.clone()));
                prop_assert!(path.as_str().starts_with('/'));
                prop_assert!(!path.as_str().contains("//") && !path.as_str().contains('%'));
                prop_assert!(path.segments().all(|s| s != "." && s != ".."));
                // A URI parser on the way reads it as it is.
                let uri: http::Uri = path.as_str().parse().unwrap();
                prop_assert_eq!(uri.path(), path.as_str());
                prop_assert_eq!(uri.query(), None);
            }
        }

        #[test]
        fn no_spelling_hides_a_credential(
            version in "[a-z0-9.-]{1,10}",
            role in "[a-zA-Z0-9+=,@_-]{1,64}",
            choices in prop::collection::vec(0..4u8, 120),
        ) {
            prop_assume!(version != "." && version != "..");
            let plain = format!("/{version}/meta-data/iam/security-credentials/{role}");
            let spell = |(c, choice): (char, u8)| match (c, choice) {
                ('/', 1) => "//".to_owned(),
                (_, 2) => format!("%{:02x}", u32::from(c)),
                (_, 3) => format!("%{:02X}", u32::from(c)),
                _ => c.to_string(),
            };
            let spelt: String = plain.chars().zip(choices.into_iter().cycle()).map(spell).collect();
            prop_assert_eq!(parse(&spelt), Ok(plain));
            prop_assert_eq!(credential(&spelt), Some(role));
        }
    }

    #[test]
    fn what_clients_send_passes() {
        for (raw, canonical) in [
            ("/", "/"),
            ("/latest/meta-data/", "/latest/meta-data/"),
            ("//latest/meta-data", "/latest/meta-data"),
            ("/latest/user-data/", "/latest/user-data/"),
            ("/2021-03-23/meta-data/mac", "/2021-03-23/meta-data/mac"),
            (
                "/latest/meta-data/network/interfaces/macs/0e%3A49/mac",
                "/latest/meta-data/network/interfaces/macs/0e:49/mac",
            ),
            (
                "/latest/meta-data/tags/instance/a+-=.,_:@b",
                "/latest/meta-data/tags/instance/a+-=.,_:@b",
            ),
        ] {
            assert_eq!(parse(raw).as_deref(), Ok(canonical));
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (raw, error) in [
            ("latest", PathError::Relative),
            ("", PathError::Relative),
            ("*", PathError::Character),
            ("/%", PathError::Encoding),
            ("/%2", PathError::Encoding),
            ("/%zz", PathError::Encoding),
            ("/a%2", PathError::Encoding),
            ("/%252e", PathError::Encoding),
            ("/%25", PathError::Encoding),
            ("/./latest", PathError::Dots),
            ("/latest/..", PathError::Dots),
            ("/latest/%2e%2E/x", PathError::Dots),
            ("/latest%2f..%2fx", PathError::Dots),
            ("/a\\b", PathError::Character),
            ("/a%5cb", PathError::Character),
            ("/a%00", PathError::Character),
            ("/a%0d%0ab", PathError::Character),
            ("/a;b=c/d", PathError::Character),
            ("/a%3fb", PathError::Character),
            ("/a%23b", PathError::Character),
            ("/a b", PathError::Character),
            ("/\u{e9}", PathError::Character),
            ("/%c3%a9", PathError::Character),
            ("/%ff", PathError::Character),
            ("/%c0%af", PathError::Character),
        ] {
            assert_eq!(parse(raw), Err(error), "{raw}");
        }
        assert_eq!(parse(&"/a".repeat(MAX_LEN)), Err(PathError::Long));
    }

    #[test]
    fn credentials_are_known_by_their_path() {
        for (raw, name) in [
            (
                "/latest/meta-data/iam/security-credentials/web",
                Some("web"),
            ),
            (
                "/latest/meta-data/iam/security-credentials/web/",
                Some("web"),
            ),
            (
                "/latest/meta-data/iam/security-credentials/web/x",
                Some("web"),
            ),
            ("/1.0/meta-data/iam/SECURITY-credentials//web", Some("web")),
            ("/latest/meta-data/iam/security-credentials", None),
            ("/latest/meta-data/iam/security-credentials/", None),
            ("/latest/meta-data/iam/info", None),
            (
                "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
                Some("identity-credentials/ec2-instance"),
            ),
            ("/latest/meta-data/identity-credentials/ec2/info", None),
        ] {
            assert_eq!(credential(raw).as_deref(), name, "{raw}");
        }
    }

    #[test]
    fn the_token_path_is_known() {
        for (raw, is) in [
            ("/latest/api/token", true),
            ("//latest//api/token/", true),
            ("/latest/api/token/x", false),
            ("/latest/api", false),
            ("/api/token", false),
        ] {
            assert_eq!(CanonicalPath::parse(raw).unwrap().is_token(), is, "{raw}");
        }
    }
}
