//! The mock's Dockerfile, as far as it can be tried without an engine.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use credpin_e2e::namespace::Namespace;
use credpin_e2e::tools::Tools;
use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = "credpin-mock-imds";

/// The instructions with their arguments.
fn instructions() -> Result<Vec<(String, String)>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mock-imds/Dockerfile");
    let text = fs::read_to_string(&file).context("no Dockerfile")?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = lines.filter_map(|line| line.split_once(' '));
    Ok(split
        .map(|(instruction, rest)| (instruction.to_owned(), rest.to_owned()))
        .collect())
}

fn given(instructions: &[(String, String)], instruction: &str) -> Vec<String> {
    let given = instructions.iter().filter(|(name, _)| name == instruction);
    given.map(|(_, rest)| rest.clone()).collect()
}

#[tokio::test]
async fn what_the_image_copies_is_enough_for_cargo_to_find_what_it_builds() -> Result<()> {
    let (tools, folder) = (Tools::find()?, TempDir::new()?);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let instructions = instructions()?;
    let mut copied = 0;
    for copy in given(&instructions, "COPY") {
        let mut words: Vec<&str> = copy.split(' ').collect();
        let to = words.pop().context("nowhere to copy to")?;
        if words[0].starts_with("--from=") {
            assert_eq!(words[1], format!("/{BINARY}"));
            continue;
        }
        let to = folder.path().join(to);
        let cp = tools.system("cp", "coreutils")?.arg("-r");
        let from = words.iter().map(|word| root.join(word));
        cp.args(from).arg(to).finish().await?.success()?;
        copied += words.len();
    }
    assert!(copied >= 5, "{instructions:?}");

    let metadata = tools.cargo()?.args(["metadata", "--locked", "--offline"]);
    let metadata = metadata.args(["--format-version", "1", "--no-deps"]);
    let metadata = metadata.arg("--manifest-path");
    let metadata = metadata.arg(folder.path().join("Cargo.toml"));
    let found: Value = serde_json::from_str(&metadata.finish().await?.success()?)?;
    let packages = found["packages"].as_array().context("no packages")?;
    let mock = packages.iter().find(|package| package["name"] == BINARY);
    let targets = mock.context("no such package")?["targets"].as_array();
    let is_binary = |target: &Value| target["kind"][0] == "bin" && target["name"] == BINARY;
    assert!(targets.context("no targets")?.iter().any(is_binary));
    assert_eq!(
        given(&instructions, "RUN"),
        [format!(
            "cargo build --locked --release -p {BINARY} && cp target/release/{BINARY} /"
        )]
    );
    Ok(())
}

#[tokio::test]
async fn what_the_image_starts_answers_at_the_port_that_it_exposes() -> Result<()> {
    let (tools, instructions) = (Tools::find()?, instructions()?);
    let entry = given(&instructions, "ENTRYPOINT").join("");
    let entry: Vec<String> = serde_json::from_str(&entry)?;
    let (program, flags) = entry.split_first().context("nothing is started")?;
    let copies = given(&instructions, "COPY");
    assert!(copies.iter().any(|copy| copy.ends_with(program.as_str())));

    let network = Namespace::new(&tools).await?;
    let mock = tools.binary(BINARY)?.args(flags);
    let mut mock = network.inside(mock).spawn()?;
    let ready = mock.ready().await?;
    let port = given(&instructions, "EXPOSE").join("");
    assert!(
        ready.contains(&format!("http://0.0.0.0:{port} ")),
        "{ready}"
    );
    Ok(())
}
