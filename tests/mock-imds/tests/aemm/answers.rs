//! Categories, listings, headers and error pages.

use credpin_mock_imds::launch::Command;
use http::Method;

use super::table::{DOCUMENTS, LINES, TEXTS};
use super::{NOT_FOUND, START, aemm, get, header, request, status, text};

#[test]
fn every_category_has_its_path_value_and_type() {
    let state = aemm(Command::All, &[]);
    for (categories, content_type) in [
        (TEXTS, "text/plain"),
        (DOCUMENTS, "application/json"),
        (LINES, "text/plain"),
    ] {
        for (path, body) in categories {
            for spelling in [(*path).to_owned(), format!("{path}/")] {
                let response = get(&state, &spelling);
                assert_eq!(status(&response), 200, "{spelling}");
                assert_eq!(text(&response), *body, "{spelling}");
                assert_eq!(header(&response, "content-type"), Some(content_type));
            }
        }
    }
    let data = get(&state, "/latest/user-data");
    assert_eq!(text(&data), "1234,john,reboot,true\n");
    assert_eq!(
        header(&data, "content-type"),
        Some("application/octet-stream")
    );
}

/// All categories are told by the listings, from the top down, and nothing else is.
#[test]
fn listings_lead_to_every_category() {
    let state = aemm(Command::All, &[]);
    let mut found = Vec::new();
    let mut folders = vec!["/latest/meta-data".to_owned(), "/latest/dynamic".to_owned()];
    while let Some(folder) = folders.pop() {
        let listing = get(&state, &format!("{folder}/"));
        assert_eq!(status(&listing), 200, "{folder}");
        for name in text(&listing).lines() {
            match name.strip_suffix('/') {
                Some(name) => folders.push(format!("{folder}/{name}")),
                None => found.push(format!("{folder}/{name}")),
            }
        }
    }
    found.sort();
    found.dedup();
    let mut expected: Vec<&str> = [TEXTS, DOCUMENTS, LINES]
        .concat()
        .iter()
        .map(|(path, _)| *path)
        .collect();
    expected.extend([
        "/latest/meta-data/autoscaling/target-lifecycle-state",
        "/latest/meta-data/events/maintenance/scheduled",
        "/latest/meta-data/events/recommendations/rebalance",
        "/latest/meta-data/spot/instance-action",
        "/latest/meta-data/spot/termination-time",
    ]);
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn the_upper_listings_are_aemms() {
    let state = aemm(Command::All, &[]);
    for (path, listing) in [
        ("/", "latest\n"),
        ("/latest", "dynamic\nmeta-data\nuser-data\n"),
        ("/latest/dynamic", "fws/\ninstance-identity/\n"),
        (
            "/latest/meta-data",
            "ami-id\nami-launch-index\nami-manifest-path\nautoscaling/\nblock-device-mapping/\n\
             elastic-inference/\nevents/\nhostname\niam/\ninstance-action\ninstance-id\n\
             instance-life-cycle\ninstance-type\nkernel-id\nlocal-hostname\nlocal-ipv4\nmac\n\
             network/\nplacement/\nproduct-codes\npublic-hostname\npublic-ipv4\npublic-keys/\n\
             ramdisk-id\nreservation-id\nsecurity-groups\nservices/\nspot/\ntags/\n",
        ),
        (
            "/latest/dynamic/instance-identity",
            "document\npkcs7\nsignature",
        ),
        // A category that is a folder too stands there twice.
        (
            "/latest/meta-data/iam",
            "info\nsecurity-credentials\nsecurity-credentials/",
        ),
        // It lists what contains the path, not what lies below.
        (
            "/latest/meta-data/instance",
            "instance-action\ninstance-id\ninstance-life-cycle\ninstance-type\nspot/\ntags/",
        ),
    ] {
        assert_eq!(text(&get(&state, path)), listing, "{path}");
    }
}

#[test]
fn what_is_not_there_is_a_404_as_go_sends_it() {
    let state = aemm(Command::All, &[]);
    for path in [
        "/womp",
        "/2021-03-23/meta-data",
        "/latest/meta-data/womp",
        "/latest/meta-dataset",
        "/latest/api",
        "/latest/user-data/womp",
    ] {
        let response = get(&state, path);
        assert_eq!(status(&response), 404, "{path}");
        assert_eq!(text(&response), NOT_FOUND);
        assert_eq!(
            header(&response, "content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn answers_carry_no_header_of_the_real_service_and_any_method_is_a_get() {
    let state = aemm(Command::All, &[]);
    let path = "/latest/meta-data/instance-id";
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let response = super::respond(&state, &request(method, path, &[]), START);
        assert_eq!(status(&response), 200);
        assert_eq!(text(&response), "i-1234567890abcdef0");
        for name in ["server", "connection", "accept-ranges", "last-modified"] {
            assert_eq!(header(&response, name), None, "{name}");
        }
        assert_eq!(
            header(&response, "date"),
            Some("Fri, 15 Jan 2027 08:00:00 GMT")
        );
    }
    let head = super::respond(&state, &request(Method::HEAD, path, &[]), START);
    assert_eq!(text(&head), "");
    assert_eq!(header(&head, "content-length"), Some("19"));
}

#[test]
fn what_goes_wrong_goes_wrong_like_aemm_too() {
    let state = aemm(Command::All, &[]);
    let path = "/latest/meta-data/instance-id";
    state.set_fault("/latest/meta-data", "503".parse().unwrap());
    assert_eq!(status(&get(&state, path)), 503);
    assert_eq!(status(&get(&state, "/latest/user-data")), 200);
    state.clear_faults();
    state.disable(true);
    assert_eq!(status(&get(&state, path)), 403);
    state.disable(false);
    assert_eq!(status(&get(&state, path)), 200);
    assert_eq!(state.requests().len(), 4);
}
