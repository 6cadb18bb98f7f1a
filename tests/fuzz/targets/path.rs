//! A path has one canonical form, and no spelling of a path of credentials hides that it is one.

#![no_main]

use credpin_proxy::path::CanonicalPath;
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;

fuzz_target!(|raw: &str| {
    let Ok(path) = CanonicalPath::parse(raw) else {
        return;
    };
    let text = path.as_str();
    assert_eq!(
        CanonicalPath::parse(text).as_ref(),
        Ok(&path),
        "a fixed point"
    );

    // Who decodes it once and drops empty segments reads the same segments.
    let decoded = percent_decode_str(raw)
        .decode_utf8()
        .expect("it was read as text");
    let segments = |path: &str| -> Vec<String> {
        let named = path.split('/').filter(|segment| !segment.is_empty());
        named.map(str::to_owned).collect()
    };
    let read = segments(&decoded);
    assert_eq!(segments(text), read, "the same segments");
    assert!(read.iter().all(|segment| segment != "." && segment != ".."));

    // Who decodes it again reads the same, and so does a URI parser on the way.
    assert_eq!(percent_decode_str(text).decode_utf8().as_deref(), Ok(text));
    let uri: http::Uri = text.parse().expect("a canonical path is a URI's");
    assert_eq!((uri.path(), uri.query()), (text, None));

    let known = |segment: &String| segment.eq_ignore_ascii_case("security-credentials");
    let gives_out = read
        .iter()
        .position(known)
        .is_some_and(|at| at + 1 < read.len());
    assert_eq!(
        path.credential().is_some(),
        gives_out,
        "known by its segments"
    );
});
