//! What the documentation says can be typed, looked up and followed.

use std::{collections::BTreeSet, fs, path::PathBuf};

use clap::Parser;

use crate::{at, text};

const PAGES: [&str; 8] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/architecture.md",
    "docs/formats.md",
    "docs/mock-imds.md",
    "docs/operations.md",
    "docs/threat-model.md",
];

/// The lines of a page's `sh` blocks.
fn typed(page: &str) -> Vec<String> {
    let text = text(page);
    let blocks = text.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines());
    lines
        .map(|line| line.trim_start_matches("sudo ").to_owned())
        .collect()
}

#[test]
fn every_command_of_ours_in_the_documentation_is_understood() {
    let mut commands = 0;
    for page in PAGES {
        for line in typed(page) {
            let line = line.split(" #").next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let understood = match words.first() {
                Some(&"credpin") => credpin::cli::Cli::try_parse_from(&words).map(drop),
                Some(&"credpin-proxy") => credpin_proxy::cli::Cli::try_parse_from(&words).map(drop),
                _ => continue,
            };
            commands += 1;
            understood.unwrap_or_else(|error| panic!("{page}: {line}\n{error}"));
        }
    }
    assert!(commands > 10, "the blocks were found: {commands}");
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    for page in PAGES {
        let folder = at(page).parent().unwrap().to_owned();
        for link in text(page)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next().map(str::to_owned))
        {
            if !link.starts_with("http") && !link.starts_with('#') {
                let file = link.split('#').next().unwrap_or_default();
                assert!(folder.join(file).exists(), "{page}: {link}");
            }
        }
    }
}

#[test]
fn every_test_that_the_architecture_names_is_there() {
    let sources: Vec<String> = ["proxy", "controller", "tests"]
        .into_iter()
        .flat_map(|folder| rust_files(at(folder)))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let page = text("docs/architecture.md");
    // A name of four words and more is a test's.
    let names: BTreeSet<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.matches('_').count() >= 3)
        .filter(|name| {
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let definition = format!("fn {name}(");
        assert!(
            sources.iter().any(|text| text.contains(&definition)),
            "{name}"
        );
    }
}

#[test]
fn every_hold_has_a_way_out_in_the_operations_page() {
    let source = text("controller/core/src/plan/hold.rs");
    let variants = source
        .split("pub enum Hold {")
        .nth(1)
        .unwrap()
        .split("\n}")
        .next()
        .unwrap();
    let page = text("docs/operations.md");
    let mut holds = 0;
    for line in variants
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
    {
        let name: String = line.chars().take_while(char::is_ascii_alphabetic).collect();
        if !name.is_empty() {
            holds += 1;
            assert!(page.contains(&format!("| `{}`", snake(&name))), "{name}");
        }
    }
    assert!(holds >= 9, "{holds}");
}

#[test]
fn every_metric_is_in_the_operations_page() {
    let page = text("docs/operations.md");
    let source = text("proxy/src/metrics.rs");
    let source: String = source.split_whitespace().collect();
    let made = ["register!(all,\"", "histogram(&mutall,\""];
    let after = made.iter().flat_map(|made| source.split(made).skip(1));
    let names: Vec<&str> = after.filter_map(|rest| rest.split('"').next()).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("`credpin_proxy_{name}")), "{name}");
    }
    let source = text("controller/src/report/metrics.rs");
    let source: String = source.split_whitespace().collect();
    let made = ["all.register(\"", "gauge(&mutall,\"", "gauge(all,\""];
    let after = made.iter().flat_map(|made| source.split(made).skip(1));
    let names: Vec<&str> = after.filter_map(|rest| rest.split('"').next()).collect();
    assert!(names.len() >= 13, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("`credpin_{name}")), "{name}");
    }
}

fn snake(camel: &str) -> String {
    let mut snake = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn rust_files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                rust_files(path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}
