//! Where the borrowed parts lie, and the only names under which their programs can be started.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::Launch;

/// The parts under `target/tools`, as `make tools` lays them out, and the binaries under test.
///
/// The paths stay inside: a program is had as a [`Launch`], whose environment is already scrubbed.
#[derive(Clone, Debug)]
pub struct Tools {
    root: PathBuf,
    scripts: PathBuf,
}

impl Tools {
    /// Finds `target/tools` of this checkout.
    pub fn find() -> Result<Self> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = scripts.join("../../target/tools");
        if !root.join("stamp").is_file() {
            bail!(
                "{} is not set up: run `make tools` (or `make test`, which does)",
                root.display()
            );
        }
        Ok(Self {
            root: root
                .canonicalize()
                .with_context(|| format!("cannot resolve {}", root.display()))?,
            scripts: scripts.to_path_buf(),
        })
    }

    /// A script of `tests/e2e/python`, by its file name, run by the tools' own Python.
    pub fn python(&self, script: &str) -> Result<Launch> {
        Ok(self
            .launch(&self.root.join("venv/bin/python"))?
            .arg(self.scripts.join("python").join(script)))
    }

    /// The judge of `tests/e2e/judge`.
    pub fn judge(&self) -> Result<Launch> {
        Ok(self
            .launch(Path::new("node"))?
            .arg(self.scripts.join("judge/judge.mjs"))
            .arg(&self.root))
    }

    /// The real AWS CLI.
    pub fn aws(&self) -> Result<Launch> {
        self.launch(&self.root.join("venv/bin/aws"))
    }

    /// `tests/e2e/tools/dump-account`, which finds the real AWS CLI as `aws`.
    pub fn dump_account(&self) -> Result<Launch> {
        self.launch(&self.scripts.join("tools/dump-account"))
    }

    /// One of this workspace's own binaries, built in the profile of the test that asks.
    pub fn binary(&self, name: &str) -> Result<Launch> {
        let test = std::env::current_exe().context("cannot tell where the test's binary lies")?;
        // target/PROFILE/deps/TEST, or target/PROFILE/NAME for a binary such as the demo.
        let found = test
            .ancestors()
            .skip(1)
            .take(2)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file());
        match found {
            Some(path) => self.launch(&path),
            None => bail!("binary {name} is not built: run `cargo build --workspace --bins`"),
        }
    }

    fn launch(&self, program: &Path) -> Result<Launch> {
        Launch::new(program, &self.root.join("venv/bin"))
    }
}
