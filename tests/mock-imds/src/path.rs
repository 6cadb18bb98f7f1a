//! What a request asks for: its path, as leniently read as any server might.

use percent_encoding::percent_decode_str;

/// The segments of a path. Percent-encoding is undone, doubled and trailing slashes are gone, dots
/// are resolved.
///
/// The real service is not known to be this lenient. A mock that is makes the harder test for
/// whatever guards it: a spelling that slips past a guard reaches its target here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

impl Path {
    /// Reads the path of a URL. It cannot fail: what makes no sense names nothing.
    pub(crate) fn parse(path: &str) -> Self {
        let decoded = percent_decode_str(path).decode_utf8_lossy();
        let mut segments = Vec::new();
        for segment in decoded.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                segment => segments.push(segment.to_owned()),
            }
        }
        Self(segments)
    }

    pub(crate) fn segments(&self) -> &[String] {
        &self.0
    }

    /// Whether this path is `prefix` or lies below it.
    pub(crate) fn is_within(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path() {
        let plain = Path::parse("/latest/meta-data/iam");
        for spelling in [
            "//latest/meta-data/iam",
            "/latest/meta-data/iam/",
            "/latest//meta-data/./iam",
            "/latest/api/../meta-data/iam",
            "/../latest/meta-data/iam",
            "/latest/meta%2Ddata/%69am",
            "/latest%2Fmeta-data/iam",
            "/latest/x/%2e%2e/meta-data/iam",
        ] {
            assert_eq!(Path::parse(spelling), plain, "{spelling}");
        }
        assert_ne!(
            Path::parse("/latest/meta-data/iam%252f"),
            plain,
            "decoded once"
        );
        assert_ne!(
            Path::parse("/latest/meta-data/%ff"),
            Path::parse("/latest/meta-data")
        );
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let iam = Path::parse("/latest/meta-data/iam");
        assert!(Path::parse("/latest/meta-data/iam/info").is_within(&iam));
        assert!(iam.is_within(&Path::parse("/")));
        assert!(!Path::parse("/latest/meta-data/iam2").is_within(&iam));
    }
}
