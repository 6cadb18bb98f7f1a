//! Who a session is good for, and how long.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Sessions at a time that is the test's to set, in milliseconds since boot.
fn sessions(binding: SessionBinding) -> (Sessions, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(1_000_500));
    let clock = Arc::clone(&time);
    let clock = BootClock::new(move || Duration::from_millis(clock.load(Ordering::SeqCst)));
    let key = SessionKey::from([7; 32]);
    (Sessions::new(&key, binding, clock), time)
}

fn consumer(uid: Option<u32>, container: Option<&str>) -> Consumer {
    Consumer {
        uid,
        container: container.map(str::to_owned),
        ..Consumer::at(Ipv4Addr::LOCALHOST.into())
    }
}

#[test]
fn a_session_lasts_as_long_as_was_asked() {
    let (sessions, time) = sessions(SessionBinding::None);
    let nobody = consumer(None, None);
    let token = sessions.issue(Ttl(60), &nobody);
    let left = |after: u64| {
        time.store(1_000_500 + after, Ordering::SeqCst);
        sessions.check(token.as_bytes(), &nobody)
    };
    assert_eq!(left(0), Ok(60));
    assert_eq!(left(1), Ok(60));
    assert_eq!(left(59_999), Ok(1));
    assert_eq!(left(60_000), Err(Invalid::Expired));
    assert_eq!(left(86_400_000), Err(Invalid::Expired));
}

#[test]
fn a_session_is_worthless_to_whom_it_is_not_bound() {
    let people = [
        consumer(Some(1000), None),
        consumer(Some(1001), None),
        consumer(Some(1000), Some("a")),
        consumer(Some(1000), Some("b")),
        consumer(None, None),
    ];
    for (binding, same) in [
        (SessionBinding::None, [0, 0, 0, 0, 0]),
        (SessionBinding::Uid, [0, 1, 0, 0, 2]),
        (SessionBinding::Container, [0, 0, 1, 2, 0]),
    ] {
        let (sessions, _) = sessions(binding);
        for (one, group) in people.iter().zip(same) {
            let token = sessions.issue(Ttl(60), one);
            for (other, others) in people.iter().zip(same) {
                let good = sessions.check(token.as_bytes(), other).is_ok();
                assert_eq!(good, group == others, "{binding:?}: {one:?}, {other:?}");
            }
        }
    }
}

#[test]
fn a_session_of_one_binding_is_none_of_another() {
    let who = consumer(Some(1000), Some("a"));
    let token = sessions(SessionBinding::None).0.issue(Ttl(60), &who);
    for binding in [SessionBinding::Uid, SessionBinding::Container] {
        let checked = sessions(binding).0.check(token.as_bytes(), &who);
        assert_eq!(checked, Err(Invalid::Foreign));
    }
}

#[test]
fn a_ttl_is_what_imds_takes() {
    let asked = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TOKEN_TTL.clone(), value.parse().unwrap());
        }
        Ttl::asked(&headers).map(Ttl::seconds)
    };
    assert_eq!(asked(&["1"]), Some(1));
    assert_eq!(asked(&["21600"]), Some(21_600));
    for values in [
        &[][..],
        &[""],
        &["0"],
        &["21601"],
        &["+60"],
        &["-1"],
        &["6.0"],
        &["60s"],
        &["99999999999"],
        &["60", "60"],
        &["60, 60"],
    ] {
        assert_eq!(asked(values), None, "{values:?}");
    }
}
