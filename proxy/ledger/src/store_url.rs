//! Where a record store is: the text that people write, and what it means.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::{Host, Url};

use crate::key::is_region;

/// Where a record store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `file:///dir`
    Directory(PathBuf),
    /// `s3://bucket/prefix`, with options behind a `?`.
    S3(Bucket),
}

/// A bucket, and how to get there: `s3://bucket/prefix?region=…&endpoint=…&sts=…`, each option once
/// at the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The bucket's name.
    pub name: String,
    /// What every key begins with; may be empty.
    pub prefix: String,
    /// `region`: where the bucket is. The host's own region if not said.
    pub region: Option<String>,
    /// `endpoint`: of a store that speaks S3, or of S3 behind another name; the bucket's name goes
    /// into the path. AWS's for the region if not said.
    pub endpoint: Option<Endpoint>,
    /// `sts`: who is asked for this host's `aws:userid`, under which its records go.
    pub sts: Sts,
}

/// Where the Security Token Service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sts {
    /// AWS's, in the region.
    Aws,
    /// There.
    At(Endpoint),
    /// Nowhere: records go under the instance's id. No bucket policy can hold a host to that.
    Off,
}

/// `https://HOST[:PORT]`, or `http://` of this host itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

/// A text that is no [`StoreUrl`]. It is held as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is not a record store: {problem}{}", hint(shown))]
pub struct StoreUrlError {
    shown: String,
    problem: &'static str,
}

const FORM: &str = "write file:///dir or s3://bucket/prefix";
const OPTIONS: &str =
    "behind the ? go region=REGION, endpoint=URL and sts=URL, each once at the most";
const REGION: &str = "region= takes a region, as eu-west-1";
const ENDPOINT: &str = "endpoint= and sts= take https://HOST or https://HOST:PORT (http:// for this host alone, as \
     http://127.0.0.1:9000), and sts= also off";
const NO_STS: &str = "with endpoint= say where STS is: sts=off where the store is not AWS's, else \
     sts=https://sts.REGION.amazonaws.com";
const BUCKET: &str = "a bucket's name is 3 to 63 of a-z, 0-9, dot and dash";

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        parse(text).map_err(|problem| StoreUrlError {
            shown: without_secrets(text),
            problem,
        })
    }
}

fn parse(text: &str) -> Result<StoreUrl, &'static str> {
    let url = Url::parse(text).map_err(|_| FORM)?;
    let user = !url.username().is_empty() || url.password().is_some();
    if user || url.fragment().is_some() || url.port().is_some() {
        return Err(FORM);
    }
    match url.scheme() {
        "file" if url.query().is_none() => {
            let path = url.to_file_path();
            path.map(StoreUrl::Directory).map_err(|()| FORM)
        }
        "s3" => bucket(&url).map(StoreUrl::S3),
        _ => Err(FORM),
    }
}

fn bucket(url: &Url) -> Result<Bucket, &'static str> {
    let name = url.host_str().ok_or(FORM)?;
    if !is_bucket(name) {
        return Err(BUCKET);
    }
    let (mut region, mut endpoint, mut sts) = (None, None, None);
    for (option, value) in url.query_pairs() {
        let twice = match &*option {
            "region" if is_region(&value) => region.replace(value.into_owned()).is_some(),
            "region" => return Err(REGION),
            "endpoint" => endpoint.replace(value.parse()?).is_some(),
            "sts" if value == "off" => sts.replace(Sts::Off).is_some(),
            "sts" => sts.replace(Sts::At(value.parse()?)).is_some(),
            _ => return Err(OPTIONS),
        };
        if twice {
            return Err(OPTIONS);
        }
    }
    if endpoint.is_some() && sts.is_none() {
        return Err(NO_STS);
    }
    Ok(Bucket {
        name: name.to_owned(),
        prefix: url.path().trim_matches('/').to_owned(),
        region,
        endpoint,
        sts: sts.unwrap_or(Sts::Aws),
    })
}

impl Endpoint {
    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what goes there is not encrypted.
    pub fn is_http(&self) -> bool {
        self.0.starts_with("http://")
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    /// Over plain HTTP go a session token and records, so only to this host itself.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| ENDPOINT)?;
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(_)) | None => false,
        };
        let plain = url.path() == "/"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        match url.scheme() {
            "https" if plain => {}
            "http" if plain && loopback => {}
            _ => return Err(ENDPOINT),
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(dir) => write!(f, "file://{}", dir.display()),
            Self::S3(bucket) => bucket.fmt(f),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            prefix,
            region,
            endpoint,
            sts,
        } = self;
        let sts = match sts {
            Sts::Aws => None,
            Sts::At(endpoint) => Some(endpoint.as_str()),
            Sts::Off => Some("off"),
        };
        let options = [
            ("region", region.as_deref()),
            ("endpoint", endpoint.as_ref().map(Endpoint::as_str)),
            ("sts", sts),
        ];
        write!(f, "s3://{name}/{prefix}")?;
        let said = options
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        for (at, (name, value)) in said.enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

/// `text`, which may be a URL, as it may be shown to people and logs: without what stands before an
/// `@` or after a `?`. Keys of AWS may have slashes, so no part before the last `@` is spared.
pub fn without_secrets(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    let (place, query) = match rest.split_once('?') {
        Some((place, _)) => (place, "?***"),
        None => (rest, ""),
    };
    format!("{scheme}{user}{place}{query}")
}

fn hint(shown: &str) -> &'static str {
    if shown.contains("***") {
        "; credentials do not belong in it: credpin-proxy takes those of the host's own role, credpin \
         those of its environment"
    } else {
        ""
    }
}

/// Amazon S3 User Guide, "General purpose bucket naming rules".
fn is_bucket(text: &str) -> bool {
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    (3..=63).contains(&text.len()) && text.bytes().all(letters)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_store_is_a_directory_or_a_bucket() {
        for (text, meant) in [
            ("file:///var/lib/records", "file:///var/lib/records"),
            ("s3://bucket", "s3://bucket/"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
            (
                "s3://bucket?region=eu-west-1",
                "s3://bucket/?region=eu-west-1",
            ),
            ("s3://bucket?sts=off", "s3://bucket/?sts=off"),
            (
                "s3://bucket/a?sts=http://[::1]:5000/&endpoint=https://minio.example:9000",
                "s3://bucket/a?endpoint=https://minio.example:9000&sts=http://[::1]:5000",
            ),
            (
                "s3://bucket/?endpoint=http%3A%2F%2F127.0.0.1%3A5000&sts=off",
                "s3://bucket/?endpoint=http://127.0.0.1:5000&sts=off",
            ),
        ] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), meant);
        }
    }

    #[test]
    fn what_is_no_store_is_told_with_the_way_out() {
        for (text, problem) in [
            ("", FORM),
            ("/var/lib/records", FORM),
            ("file://host/dir", FORM),
            ("file:///dir?region=eu-west-1", FORM),
            ("s3://", FORM),
            ("s3://key:secret@bucket", FORM),
            ("s3://bucket:443/", FORM),
            ("s3://bucket#x", FORM),
            ("http://bucket", FORM),
            ("s3://Bucket", BUCKET),
            ("s3://a_b", BUCKET),
            ("s3://ab", BUCKET),
            ("s3://bucket?x", OPTIONS),
            ("s3://bucket?region=eu-west-1&region=eu-west-1", OPTIONS),
            ("s3://bucket?sts=off&sts=off", OPTIONS),
            ("s3://bucket?region=", REGION),
            ("s3://bucket?region=EU", REGION),
            ("s3://bucket?region=eu-west-1.example.com/", REGION),
            ("s3://bucket?endpoint=https://a", NO_STS),
            ("s3://bucket?sts=aws", ENDPOINT),
            ("s3://bucket?sts=off&endpoint=http://10.0.0.1", ENDPOINT),
            ("s3://bucket?sts=off&endpoint=http://localhost", ENDPOINT),
            ("s3://bucket?sts=off&endpoint=https://a/b", ENDPOINT),
            ("s3://bucket?sts=off&endpoint=https://u@a", ENDPOINT),
            ("s3://bucket?sts=off&endpoint=https://a?b", ENDPOINT),
            ("s3://bucket?sts=off&endpoint=ftp://a", ENDPOINT),
        ] {
            let told = text.parse::<StoreUrl>().map_err(|error| error.problem);
            assert_eq!(told, Err(problem), "{text}");
        }
    }

    #[test]
    fn no_error_repeats_a_secret() {
        for (text, shown) in [
            ("s3://KEY:SECRET@bucket", "\"s3://***@bucket\""),
            ("s3://KEY:SEC/RET@bucket/a", "\"s3://***@bucket/a\""),
            ("s3://KEY:SEC@RET@bucket", "\"s3://***@bucket\""),
            ("KEY:SECRET@bucket", "\"***@bucket\""),
            ("s3://bucket?key=SECRET", "\"s3://bucket?***\""),
            ("s3://KEY:SE?CRET@bucket", "\"s3://***@bucket\""),
        ] {
            let error = text.parse::<StoreUrl>().unwrap_err();
            let told = error.to_string();
            assert!(told.starts_with(shown), "{told}");
            assert!(told.contains("credentials do not belong in it"), "{told}");
            assert!(!format!("{error:?}").contains("CRET"), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_parses_prints_as_what_means_the_same(
            text in prop_oneof![".*", "s3://[a-z]{3,5}(/[a-z/%?]{0,5})?(\\?.*)?",
                "s3://b.b\\?(region=eu|endpoint=https://[a-z:0-9]{1,5}|sts=off|&){1,4}"],
        ) {
            if let Ok(url) = text.parse::<StoreUrl>() {
                prop_assert_eq!(url.to_string().parse(), Ok(url));
            }
        }
    }
}
