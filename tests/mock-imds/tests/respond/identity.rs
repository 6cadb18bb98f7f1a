//! The identity document's signatures, as openssl judges them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use credpin_mock_imds::{IDENTITY_CERTIFICATE, State};

use super::{get, seeded, text};

const IDENTITY: &str = "/latest/dynamic/instance-identity/";

fn leaf(state: &State, name: &str) -> String {
    text(&get(state, &format!("{IDENTITY}{name}"))).to_owned()
}

/// Runs openssl in `folder`.
fn openssl(folder: &Path, arguments: &str) -> Output {
    Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl is installed")
}

/// A folder with the certificate, the document and its signatures as AWS's page has them saved.
fn saved(state: &State) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    save("certificate", IDENTITY_CERTIFICATE);
    save("document", &leaf(state, "document"));
    save(
        "signature.base64",
        &format!("{}\n", leaf(state, "signature")),
    );
    for name in ["pkcs7", "rsa2048"] {
        let body = leaf(state, name);
        save(
            name,
            &format!("-----BEGIN PKCS7-----\n{body}\n-----END PKCS7-----\n"),
        );
    }
    folder
}

#[test]
fn openssl_verifies_the_signature_of_the_document_and_of_no_other() {
    let folder = saved(&seeded());
    let key = openssl(folder.path(), "x509 -pubkey -noout -in certificate");
    fs::write(folder.path().join("key"), key.stdout).unwrap();
    openssl(
        folder.path(),
        "base64 -d -in signature.base64 -out signature",
    );
    let verify = "dgst -sha256 -verify key -signature signature document";
    let output = openssl(folder.path(), verify);
    assert_eq!(output.stdout, b"Verified OK\n", "{output:?}");

    let document = folder.path().join("document");
    let forged = fs::read_to_string(&document)
        .unwrap()
        .replace("123456789012", "210987654321");
    fs::write(document, forged).unwrap();
    assert!(!openssl(folder.path(), verify).status.success());
}

#[test]
fn openssl_verifies_the_messages_and_finds_the_document_in_them() {
    let state = seeded();
    let folder = saved(&state);
    for name in ["pkcs7", "rsa2048"] {
        for tool in ["smime", "cms"] {
            for content in ["", " -content document"] {
                let verify = format!(
                    "{tool} -verify -binary -inform PEM -in {name} -certfile certificate -noverify{content}"
                );
                let output = openssl(folder.path(), &verify);
                assert!(output.status.success(), "{verify}: {output:?}");
                assert_eq!(
                    output.stdout,
                    leaf(&state, "document").as_bytes(),
                    "{verify}"
                );
            }
            // With the chain too: the certificate is its own authority.
            let chain = format!(
                "{tool} -verify -inform PEM -in {name} -certfile certificate -CAfile certificate -purpose any"
            );
            let output = openssl(folder.path(), &chain);
            assert!(output.status.success(), "{chain}: {output:?}");
        }
    }
    let forged = leaf(&state, "document").replace("123456789012", "210987654321");
    fs::write(folder.path().join("document"), forged).unwrap();
    let verify =
        "smime -verify -inform PEM -in pkcs7 -certfile certificate -noverify -content document";
    assert!(!openssl(folder.path(), verify).status.success());
}

#[test]
fn signatures_follow_the_document() {
    let state = seeded();
    let before = leaf(&state, "signature");
    assert_eq!(leaf(&state, "signature"), before);
    state.update_host(|host| host.instance_type = "m7i.large".into());
    assert_ne!(leaf(&state, "signature"), before);
    let folder = saved(&state);
    let verify = "smime -verify -inform PEM -in rsa2048 -certfile certificate -noverify";
    let output = openssl(folder.path(), verify);
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("m7i.large")
    );
}
