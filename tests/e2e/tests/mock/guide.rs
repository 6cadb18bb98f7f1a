//! What `docs/mock-imds.md` tells people to copy and to type.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use credpin_e2e::tools::Tools;

const EXAMPLE: &str = "tests/mock-imds/examples/pytest";

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn text(path: &str) -> Result<String> {
    fs::read_to_string(at(path)).with_context(|| path.to_owned())
}

/// The blocks of the guide in this language.
fn blocks(language: &str) -> Result<Vec<String>> {
    let guide = text("docs/mock-imds.md")?;
    let begin = format!("```{language}\n");
    let blocks = guide.split(&begin).skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next().map(str::to_owned));
    Ok(blocks.collect())
}

#[tokio::test]
async fn the_pytest_example_passes() -> Result<()> {
    let pytest = Tools::find()?.pytest(EXAMPLE)?;
    let said = pytest.finish().await?;
    assert!(said.status.success(), "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains(" 3 passed"), "{}", said.stdout);
    Ok(())
}

#[tokio::test]
async fn the_pytest_example_fails_with_a_sentence_where_the_mock_does_not_start() -> Result<()> {
    let pytest = Tools::find()?.pytest(EXAMPLE)?;
    let said = pytest.env("CREDPIN_MOCK_IMDS", "false").finish().await?;
    assert_eq!(said.status.code(), Some(1), "{}", said.stdout);
    assert!(
        said.stdout
            .contains("false --port 0 --imdsv2 did not start"),
        "{}",
        said.stdout
    );
    Ok(())
}

#[test]
fn the_guide_shows_the_pytest_example_as_it_is() -> Result<()> {
    let files = ["conftest.py", "test_imds.py"].map(|name| text(&format!("{EXAMPLE}/{name}")));
    let files = files.into_iter().collect::<Result<Vec<_>>>()?;
    let shown = blocks("python")?;
    assert_eq!(shown.len(), files.len());
    for (block, file) in shown.iter().zip(files) {
        assert!(file.contains(block.trim_end()), "{block}");
    }
    Ok(())
}

/// `--help` after them has them read, and nothing started.
#[tokio::test]
async fn the_mock_understands_every_command_of_the_guide() -> Result<()> {
    let tools = Tools::find()?;
    let mut commands = blocks("sh")?.join("");
    // Flags that stand in a table.
    for inline in text("docs/mock-imds.md")?.split('`').skip(1).step_by(2) {
        let flags = inline.starts_with("--") && !inline.starts_with("--retry");
        if flags || inline.starts_with("credpin-mock-imds ") {
            let program = if flags { "credpin-mock-imds " } else { "" };
            commands.extend([program, inline, "\n"]);
        }
    }
    let mut tried = 0;
    for line in commands.lines() {
        let Some((_, arguments)) = line.split_once("credpin-mock-imds ") else {
            continue;
        };
        if line.starts_with("docker") || line.starts_with("ln") || line.starts_with("cargo") {
            continue;
        }
        let arguments = arguments.split(['&', '>', ',']).next().unwrap_or_default();
        let mock = tools.binary("credpin-mock-imds")?;
        let mock = mock.args(arguments.split_whitespace()).arg("--help");
        let said = mock.finish().await?.success().context(line.to_owned())?;
        assert!(said.contains("Usage: "), "{line}: {said}");
        tried += 1;
    }
    assert!(tried >= 15, "the commands were found: {tried}");
    Ok(())
}
