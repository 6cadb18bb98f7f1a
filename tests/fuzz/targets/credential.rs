//! What is understood of a credential document is what another reader of JSON finds in it; and what is
//! passed on as "no credential" has no secret in it.

#![no_main]

use credpin_proxy::credential::{Document, parse};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use zeroize::Zeroizing;

fuzz_target!(|body: &[u8]| {
    let Ok(document) = parse(Zeroizing::new(body.to_vec())) else {
        return;
    };
    let text = std::str::from_utf8(body).expect("what was understood is text");
    // This one is stricter in what ours skips: deep nesting, numbers without end.
    let Ok(other) = serde_json::from_str::<Value>(text) else {
        return;
    };
    match document {
        Document::Credential(credential) => {
            assert_eq!(other["Code"], "Success");
            assert_eq!(other["AccessKeyId"], credential.access_key_id());
            for (field, time) in [
                ("LastUpdated", credential.issued()),
                ("Expiration", credential.expires()),
            ] {
                let said = other[field].as_str().expect("a time is a text");
                assert_eq!(said.parse().ok(), Some(time), "{field}");
            }
            assert!(!other["SecretAccessKey"].is_null() && !other["Token"].is_null());
        }
        Document::Error(text) => {
            assert_ne!(other["Code"], "Success");
            for field in ["SecretAccessKey", "Token"] {
                assert!(other.get(field).is_none_or(Value::is_null), "{field}");
            }
            let text: Value = serde_json::from_str(&text).expect("an apology is JSON");
            assert_eq!(text["Code"], other["Code"]);
            let fields = text.as_object().expect("an apology is an object");
            let known = ["Code", "Message", "LastUpdated", "Type"];
            assert!(
                fields.keys().all(|field| known.contains(&field.as_str())),
                "{fields:?}"
            );
        }
    }
});
