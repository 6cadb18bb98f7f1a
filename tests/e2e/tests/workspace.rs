//! The rules between the crates (docs/architecture.md), as cargo sees them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Runs cargo in the workspace and gives its standard output.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--locked")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Names of all crates that `package` is built from, itself left out.
fn tree(package: &str, features: &[&str]) -> BTreeSet<String> {
    let mut arguments = vec![
        "tree", "-p", package, "-e", "normal", "--prefix", "none", "-f", "{lib}",
    ];
    arguments.extend(features);
    let own = package.replace('-', "_");
    cargo(&arguments)
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|name| !name.is_empty() && *name != own)
        .collect()
}

fn starting<'a>(crates: &'a BTreeSet<String>, prefixes: &[&str]) -> Vec<&'a str> {
    let matches = |name: &&String| prefixes.iter().any(|prefix| name.starts_with(prefix));
    crates.iter().filter(matches).map(String::as_str).collect()
}

fn metadata() -> Value {
    let text = cargo(&["metadata", "--format-version", "1", "--all-features"]);
    serde_json::from_str(&text).unwrap()
}

/// What has sockets, files or a runtime in it.
const DOES_IO: [&str; 9] = [
    "tokio",
    "hyper",
    "aws",
    "object_store",
    "rustix",
    "mio",
    "socket2",
    "nix",
    "reqwest",
];

#[test]
fn what_decides_has_no_runtime_no_sdk_and_no_io() {
    let crates = tree("credpin-core", &[]);
    assert!(
        crates.contains("ipnet"),
        "cargo tree was understood: {crates:?}"
    );
    assert_eq!(starting(&crates, &DOES_IO), Vec::<&str>::new());
    let direct = [
        "credpin_ledger",
        "foldhash",
        "ipnet",
        "jiff",
        "rayon",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
    ];
    let shallow = tree("credpin-core", &["--depth", "1"]);
    assert_eq!(
        shallow.iter().map(String::as_str).collect::<Vec<_>>(),
        direct
    );
}

#[test]
fn what_decides_names_no_clock_and_no_file_in_its_source() {
    for (path, text) in sources("controller/core/src") {
        for word in [
            "std::fs",
            "std::env",
            "std::process",
            "std::io",
            "std::thread",
            "Stream",
            "Socket",
            "::now()",
        ] {
            assert!(!text.contains(word), "{word} in {}", path.display());
        }
    }
}

#[test]
fn the_host_agent_has_no_aws_sdk() {
    let crates = tree("credpin-proxy", &["--all-features"]);
    assert!(crates.contains("hyper"), "{crates:?}");
    assert_eq!(
        starting(
            &crates,
            &[
                "aws_sdk",
                "aws_config",
                "aws_smithy",
                "aws_types",
                "credpin_core"
            ]
        ),
        Vec::<&str>::new()
    );
}

#[test]
fn what_is_shipped_depends_on_no_test_crate_and_not_on_each_other() {
    let tests = [
        "credpin_mock_imds",
        "credpin_witness",
        "credpin_e2e",
        "proptest",
    ];
    let proxy = tree("credpin-proxy", &["--all-features", "--target", "all"]);
    assert_eq!(starting(&proxy, &tests), Vec::<&str>::new());
    assert!(!proxy.contains("credpin"));
    let controller = tree("credpin", &["--all-features", "--target", "all"]);
    assert_eq!(starting(&controller, &tests), Vec::<&str>::new());
    assert!(!controller.contains("credpin_proxy"));
}

#[test]
fn the_host_agent_has_tls_only_where_it_ships_to_s3() {
    let tls = ["rustls", "ring", "reqwest", "openssl", "aws_lc"];
    let without = tree("credpin-proxy", &["--no-default-features"]);
    assert_eq!(starting(&without, &tls), Vec::<&str>::new());
    let with = tree("credpin-proxy", &["--all-features"]);
    assert!(with.contains("rustls"), "{with:?}");
    // Its client of S3 is a small one: see proxy/ledger/src/client.rs.
    assert_eq!(
        starting(&with, &["reqwest", "h2", "tower_http"]),
        Vec::<&str>::new()
    );
}

#[test]
fn what_a_request_passes_through_has_no_store_and_no_settings() {
    let crates = tree("credpin-wire", &[]);
    assert!(crates.contains("hyper"), "{crates:?}");
    let others = [
        "credpin_proxy",
        "object_store",
        "rustls",
        "clap",
        "toml_span",
    ];
    assert_eq!(starting(&crates, &others), Vec::<&str>::new());
}

#[test]
fn the_ledger_is_types_only_by_default() {
    let crates = tree("credpin-ledger", &[]);
    assert!(crates.contains("serde"), "{crates:?}");
    assert_eq!(starting(&crates, &DOES_IO), Vec::<&str>::new());
}

#[test]
fn the_mock_stands_on_its_own() {
    let crates = tree("credpin-mock-imds", &[]);
    assert_eq!(
        starting(&crates, &["credpin", "aws", "object_store"]),
        Vec::<&str>::new()
    );
}

#[test]
fn the_aws_sdk_is_named_in_one_module_only() {
    let mut seen = BTreeSet::new();
    for folder in [
        "controller/src",
        "controller/core/src",
        "proxy",
        "tests/mock-imds/src",
        "tests/e2e/src",
    ] {
        for (path, text) in sources(folder) {
            if ["aws_sdk_", "aws_config", "aws_smithy"]
                .iter()
                .any(|name| text.contains(name))
            {
                seen.insert(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    assert!(!seen.is_empty());
    for path in &seen {
        assert!(
            path.starts_with("controller/src/cloud/aws")
                || path.ends_with("controller/src/cloud/aws.rs"),
            "{path:?}"
        );
    }
}

#[test]
fn every_crate_forbids_unsafe_code_and_shares_the_workspaces_facts() {
    let root_manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(root_manifest.contains("unsafe_code = \"forbid\""));
    let metadata = metadata();
    for package in members(&metadata) {
        let manifest = fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{}",
            package["name"]
        );
        assert_eq!(package["license"], "Apache-2.0", "{}", package["name"]);
        assert_eq!(
            package["rust_version"],
            members(&metadata)[0]["rust_version"]
        );
    }
    assert_eq!(members(&metadata).len(), 9);
}

#[test]
fn the_stated_rust_version_is_enough_for_every_dependency() {
    let metadata = metadata();
    let version =
        |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().unwrap()).collect() };
    let ours = version(members(&metadata)[0]["rust_version"].as_str().unwrap());
    for package in metadata["packages"].as_array().unwrap() {
        if let Some(theirs) = package["rust_version"].as_str() {
            assert!(
                version(theirs) <= ours,
                "{} wants Rust {theirs}",
                package["name"]
            );
        }
    }
}

#[test]
fn every_dependency_may_be_shipped_with_apache_2_code() {
    // SPDX ids; an expression needs one alternative made of these only.
    let fits = [
        "Apache-2.0",
        "MIT",
        "ISC",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "Zlib",
        "Unicode-3.0",
        "0BSD",
        "CC0-1.0",
        "Unlicense",
        "CDLA-Permissive-2.0",
        "MIT-0",
        "Apache-2.0 WITH LLVM-exception",
    ];
    for package in metadata()["packages"].as_array().unwrap() {
        let license = package["license"]
            .as_str()
            .unwrap_or("none")
            .replace('/', " OR ")
            .replace(['(', ')'], "");
        // `A AND (B OR C)`: each part of an AND has to have an alternative that fits.
        let ok = license
            .split(" AND ")
            .all(|part| part.split(" OR ").any(|id| fits.contains(&id.trim())));
        assert!(ok, "{} is under {license}", package["name"]);
    }
}

fn members(metadata: &Value) -> Vec<&Value> {
    let ids = metadata["workspace_members"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .filter(|package| ids.contains(&package["id"]))
        .collect()
}

/// Every Rust file below a folder of the workspace, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// What `cargo update` would take up again: a megabyte of tables that the host's agent has no use for.
#[test]
fn the_lock_file_holds_what_keeps_the_hosts_binary_small() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for (name, version) in [("crc-fast", "1.6.0"), ("idna_adapter", "1.0.0")] {
        let held = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(
            lock.contains(&held),
            "see [profile.dist] in Cargo.toml: {name}"
        );
    }
}
